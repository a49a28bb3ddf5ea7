# One image for the operator, the node agent and the device plugin, from the same locked requirements as `make`.
# Every one of them is a wheel for both: docker buildx build --platform linux/amd64,linux/arm64 .
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/runtime.txt requirements/device-plugin.txt requirements/build.txt requirements/
# Without pip in it: nothing is installed later.
RUN python -m venv --without-pip /opt/rackplane \
 && pip --python /opt/rackplane/bin/python install --no-cache-dir --require-hashes \
      -r requirements/runtime.txt -r requirements/device-plugin.txt \
 && pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY operator/ operator/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && pip --python /opt/rackplane/bin/python install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.13-slim
COPY --from=build /opt/rackplane /opt/rackplane
ENV PATH=/opt/rackplane/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["rackplane"]
CMD ["operator"]
