"""
Relays in memory for the tests of other services: no Kafka, no MRS, no sockets.

`scripted.Relay` answers with the outcomes that the test sets; `rehearsal.Relay` runs the real engine on an emulated
MRS.
`mrs_relay.client.testing` and `mrs_relay.rehearsal` are the same under their public names.
"""
