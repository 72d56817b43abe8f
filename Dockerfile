# guardian as an image: every archive checked against the lock file, nothing that builds in what runs, no root.
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/guardian
COPY requirements/default.txt requirements/
RUN /opt/guardian/bin/pip install --no-deps --require-hashes -r requirements/default.txt
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY policies policies
COPY src src
RUN /opt/guardian/bin/pip install --no-deps --no-build-isolation .

FROM ${PYTHON}
RUN groupadd --gid 10001 guardian \
  && useradd --uid 10001 --gid 10001 --home-dir /var/lib/guardian --shell /usr/sbin/nologin guardian \
  && install -d -o guardian -g guardian -m 0750 /var/lib/guardian \
  && install -d -o guardian -g guardian /var/lib/guardian/policies /var/lib/guardian/data
COPY --from=build /opt/guardian /opt/guardian
# Libraries that would write beside themselves write to /tmp: the root file system may be read-only.
ENV PATH=/opt/guardian/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    GUARDIAN_HOME=/var/lib/guardian
USER guardian
WORKDIR /var/lib/guardian
# A worker that makes no progress ends by itself (setting `watchdog`); this says whether it could: database there, schema right.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 CMD ["guardian", "db", "check"]
ENTRYPOINT ["guardian"]
CMD ["--help"]
