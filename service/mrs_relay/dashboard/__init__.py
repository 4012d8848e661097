"""
The dashboard of `mrs-relay web`: pages made on the server from the same answers as the HTTP API.

    pages (what there is) → overview, request_list, request_page, bulk, control_page, letters → api, read_model
                          → rendering → templates/, static/

It asks `api.requests` and `read_model`, and writes only by `api.submissions`, as the API does. Pages are read without
JavaScript; htmx and idiomorph, which lie in `static/`, keep them up to date. Read `pages` first.
"""
