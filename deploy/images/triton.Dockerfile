# Triton with a GPU: NVIDIA's image, our backend, the engines' packages, kept by the model host.
# The base is NVIDIA's own, with all that they put into it: it is not small, and it has a shell and pip.
# How this digest was found, and how the next one is: docs/deployment.md.
# 25.06: Triton 2.59, Python 3.12, Ubuntu 24.04
ARG BASE=nvcr.io/nvidia/tritonserver:25.06-py3@sha256:75bcfa5b0043898ece3e603c17a5bbbb1c9bddc390563db24312ef59d83735e5

FROM ${BASE} AS build
# Ubuntu's packages are those of the day of the build.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip python3-venv
COPY requirements/modelhost.txt requirements/ngc.txt /build/
# Exactly the locked files, by their hashes. The engines' environment is made with the server's own Python: its stub runs
# the models with that one.
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip install --quiet --no-deps --require-hashes --only-binary :all: \
      --target /opt/kefu/packages --requirement /build/modelhost.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/kefu/triton \
    && python3 -m pip --python /opt/kefu/triton/bin/python install --quiet --no-deps --require-hashes \
      --requirement /build/ngc.txt
COPY protos/gen/kefu /opt/kefu/app/kefu
COPY services/common/kefu_common /opt/kefu/app/kefu_common
COPY services/modelhost/kefu_modelhost /opt/kefu/app/kefu_modelhost
COPY deploy/triton_models /opt/kefu/models
COPY deploy/triton_backends /opt/kefu/backends
COPY pyproject.toml deploy/images/metadata.py /build/
RUN python3 /build/metadata.py /build/pyproject.toml /opt/kefu/app \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/kefu/app

FROM ${BASE}
COPY --from=build /opt/kefu /opt/kefu
ENV LANG=C.UTF-8 PYTHONPATH=/opt/kefu/app:/opt/kefu/packages PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    KEFU_TRITON_HOME=/opt/tritonserver KEFU_TRITON_ENV=/opt/kefu/triton \
    KEFU_MODEL_REPOSITORY=/opt/kefu/models KEFU_BACKENDS_DIR=/opt/kefu/backends
USER 10001:10001
EXPOSE 8001 8002 8003
ENTRYPOINT ["/usr/bin/python3", "-m", "kefu_modelhost", "serve"]
