# One image; the command picks the role: serve (default), topics create, submit, watch, check …
# With --build-arg EXTRAS=demo it holds the emulator's SQL and the demo, too: emulate, demo; with EXTRAS=web: web.

ARG BASE=python:3.12-slim

FROM ${BASE} AS build
ARG EXTRAS=""
WORKDIR /src
RUN python -m venv /opt/mrs-relay
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY service ./service
RUN /opt/mrs-relay/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"

FROM ${BASE}
RUN useradd --system --uid 10001 --create-home --shell /usr/sbin/nologin relay && install -d -o relay /data
COPY --from=build /opt/mrs-relay /opt/mrs-relay
ENV PATH=/opt/mrs-relay/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/relay
STOPSIGNAL SIGTERM
ENTRYPOINT ["mrs-relay"]
CMD ["serve"]
