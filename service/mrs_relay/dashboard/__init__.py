"""
The dashboard of `mrs-relay web`: pages made on the server from the same answers as the HTTP API.

    pages (what there is) → overview, request_list, request_page, bulk, letters,
                            control_page, relay_pages, audit_page → api, read_model
                          → rendering → templates/, static/

It asks `api.requests`, `api.relays`, `api.decisions` and `read_model`, and writes only by `api.submissions` and
`api.controls`. Pages are read without JavaScript; htmx and idiomorph, which lie in `static/`, keep them up to date.
Read `pages` first.
"""
