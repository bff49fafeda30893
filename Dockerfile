# The operator and its gateway. Both stages start from the same base, whose Python the programs use:
# 3.11 or newer.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
# Some bases have a Python without pip. This stage is thrown away, with whatever it installs.
RUN python3 -c 'import ensurepip' 2>/dev/null \
    || { apt-get update && apt-get install --yes --no-install-recommends python3-venv; }
COPY requirements-build.lock ./
RUN python3 -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
# Without isolation, so that what builds a wheel is locked as well.
COPY requirements-runtime.lock ./
RUN /tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --require-hashes \
        -w /wheels -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY examples examples
COPY controller controller
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --no-index -w /wheels . \
    && python3 -m venv --without-pip /opt/twitch-operator \
    && /tools/bin/pip --python /opt/twitch-operator/bin/python install --no-cache-dir --no-deps \
        --no-index /wheels/*.whl \
    && rm -f /opt/twitch-operator/bin/[Aa]ctivate*

FROM ${BASE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="twitch-operator" \
    org.opencontainers.image.description="Turns playout cues into Twitch commercials of the right length, at once" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/twitch-operator /opt/twitch-operator
ENV PATH=/opt/twitch-operator/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1
# Numeric, so that runAsNonRoot can be checked; the same as the chart's podSecurityContext.
USER 65532:65532
# Kubernetes probes /healthz and /readyz.
HEALTHCHECK NONE
ENTRYPOINT ["twitch-operator"]
CMD ["run"]
