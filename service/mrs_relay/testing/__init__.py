"""
Relays in memory for the tests of other services: no Kafka, no MRS, no sockets.

`scripted.Relay` answers as the test says; `rehearsal.Relay` runs the real engine on an emulated MRS.
`mrs_relay.client.testing` and `mrs_relay.rehearsal` are the same under their public names.
"""
