"""
Read, write, list and remove objects of OBS through its S3-compatible API; knows nothing of Kafka, MRS or jobs.

`client` is what the rest of the code uses, with deadlines, places and size caps. `paths` reads `obs://` paths and says
what lies below a folder; pure. `uploads` puts files of senders there, once by content.
`obstore_transport` is the only module that imports obstore.
"""
