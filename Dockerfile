# The operator's image, from the same locked requirements as `make`.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /opt/rackplane \
 && /opt/rackplane/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
 && pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY operator/ operator/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/rackplane/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.13-slim
COPY --from=build /opt/rackplane /opt/rackplane
ENV PATH=/opt/rackplane/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["rackplane"]
CMD ["operator"]
