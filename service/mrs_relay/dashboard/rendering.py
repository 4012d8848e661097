"""Make pages from the templates: the one module that imports Jinja2. All values are escaped."""

from __future__ import annotations

from typing import Any, Final

import jinja2
from aiohttp import web

from mrs_relay.common import clock
from mrs_relay.dashboard import links, static_files, wording
from mrs_relay.messages import events

HEADERS: Final = {
    "Referrer-Policy": "same-origin",  # without a referrer, browsers hide the origin of forms, too
    "Cache-Control": "no-store",
}
"""Headers of pages, beside those that every reply of the service has, see `api.headers`."""

NAVIGATION: Final = (
    ("/", "Overview", "o"),
    ("/requests", "Requests", "r"),
    ("/clusters", "Clusters", "l"),
    ("/tenants", "Tenants", "e"),
    ("/dead-letters", "Dead letters", "d"),
    ("/controls", "Controls", "c"),
    ("/audit", "Audit", "a"),
)
"""Path, title and key of each page in the order of the navigation."""


class Renderer:
    """
    Makes pages.

    Args:
        time: the clock, for ages.
        files: the files that pages refer to.
        has_logins: whether readers must say who they are.
    """

    def __init__(self, time: clock.Clock, files: static_files.StaticFiles, *, has_logins: bool) -> None:
        self._time = time
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader("mrs_relay.dashboard"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

        self._environment.filters.update(
            moment=wording.moment, duration=wording.duration, number=wording.number, json=wording.json_text
        )

        self._environment.globals.update(
            static=files.address,
            url=links.url,
            request_url=links.request_url,
            letter_url=links.letter_url,
            navigation=NAVIGATION,
            has_logins=has_logins,
            states=events.STATES,
            last_states=events.LAST,
        )

    def page(
        self,
        template: str,
        *,
        path: str,
        status: int = 200,
        **values: Any,  # noqa: ANN401 - what the template shows
    ) -> web.Response:
        """
        Make a page.

        Args:
            template: name of the template, without its ending.
            path: of the page in the navigation.
            status: HTTP status.
            values: what the template shows.
        """
        made = self._environment.get_template(f"{template}.html")
        text = made.render(now_ms=self._time.now_ms(), path=path, **values)
        return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)
