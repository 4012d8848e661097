"""
Send OpenLineage run events from their topic to an HTTP endpoint, such as Marquez or DataHub.

Any number of forwarders share the topic's partitions as a consumer group. Their offsets follow the endpoint's answers,
so no event is lost, and after a crash some are sent twice. Read `forwarder` first; `endpoint` does the HTTP.
"""
