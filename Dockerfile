# Two stages: the first resolves the hashed lock into a virtual environment, the second carries only that.
FROM python:3.12-slim AS build
WORKDIR /build
COPY requirements.lock ./
# Above the development line of the lock is what runs. Of what is below it, only setuptools is needed here: pure Python, so
# that nothing has to be compiled.
RUN sed '/^# development/,$d' requirements.lock > runtime.lock \
    && sed -n '/^setuptools==/,/[^\\]$/p' requirements.lock > build.lock \
    && python -m venv /opt/build && python -m venv /opt/twospeed \
    && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r build.lock \
    && /opt/twospeed/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --require-hashes -r runtime.lock
COPY pyproject.toml README.md ./
COPY src src
RUN /opt/build/bin/pip wheel --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/twospeed/bin/pip install --disable-pip-version-check --no-deps --no-index dist/*.whl \
    && /opt/twospeed/bin/pip uninstall --yes --quiet pip \
    && /opt/twospeed/bin/python -m compileall -q /opt/twospeed

FROM python:3.12-slim
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin twospeed \
    && install --directory --owner twospeed --group twospeed --mode 0700 /var/lib/twospeed
COPY --from=build /opt/twospeed /opt/twospeed
COPY deploy/container.yaml /etc/twospeed/twospeed.yaml
ENV PATH=/opt/twospeed/bin:$PATH PYTHONUNBUFFERED=1 TWOSPEED_STATE_DIR=/var/lib/twospeed
# By number, so that Kubernetes can see that it is not root.
USER 10001
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=2); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
# The container listens beyond loopback, so a caller key and an admin key are required: see deploy/container.yaml.
ENTRYPOINT ["twospeed"]
CMD ["serve", "--config", "/etc/twospeed/twospeed.yaml"]
