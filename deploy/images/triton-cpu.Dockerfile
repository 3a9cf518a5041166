# Triton without a GPU: the server of the wheel nvidia-pytriton with the reader, kept by the model host. The same code as
# triton.Dockerfile, the one that `./dev up` runs. Built from the checkout's root: ./dev images
# How this digest was found, and how the next one is: docs/deployment.md.
ARG BASE=docker.io/library/debian:bookworm-slim@sha256:96e378d7e6531ac9a15ad505478fcc2e69f371b10f5cdf87857c4b8188404716

FROM ${BASE} AS build
# Debian's packages are those of the day of the build: a version here would keep their security fixes out.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates python3 python3-pip python3-venv
COPY deploy/images/rootfs.sh /build/
# bash: Triton starts the processes of its Python backend through it. libpython: those processes link it. libgomp:
# onnxruntime and llama.cpp.
RUN /build/rootfs.sh /rootfs python3.11-minimal libpython3.11-stdlib libpython3.11 libstdc++6 libgomp1 bash
COPY requirements/modelhost.txt requirements/triton.txt /build/
# Exactly the locked files, by their hashes, each as its publisher built it: no compiler runs here. Two environments: the
# server's stub needs numpy 1.26.
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m pip install --quiet --no-deps --require-hashes --only-binary :all: \
      --target /rootfs/opt/kefu/packages --requirement /build/modelhost.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/kefu/triton \
    && python3 -m pip --python /opt/kefu/triton/bin/python install --quiet --no-deps --require-hashes \
      --requirement /build/triton.txt \
    && mv /opt/kefu/triton /rootfs/opt/kefu/
COPY deploy/images/trim.sh /build/
RUN /build/trim.sh /rootfs/opt/kefu/packages
COPY protos/gen/kefu /rootfs/opt/kefu/app/kefu
COPY services/common/kefu_common /rootfs/opt/kefu/app/kefu_common
COPY services/modelhost/kefu_modelhost /rootfs/opt/kefu/app/kefu_modelhost
COPY deploy/triton_models /rootfs/opt/kefu/models
COPY deploy/triton_backends /rootfs/opt/kefu/backends
COPY pyproject.toml deploy/images/metadata.py /build/
RUN python3 /build/metadata.py /build/pyproject.toml /rootfs/opt/kefu/app
# Compiled once, here: the root is read-only where it runs. Unchecked: nobody can change the sources there either.
# Others' packages may ship files for other Pythons: those are left as they are.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash -s /rootfs /rootfs/opt/kefu/app \
    && { python3 -m compileall -q --invalidation-mode unchecked-hash -s /rootfs \
           /rootfs/opt/kefu/packages /rootfs/usr/lib/python3.11 >/dev/null || true; }

FROM scratch
COPY --from=build /rootfs /
ENV LANG=C.UTF-8 PYTHONPATH=/opt/kefu/app:/opt/kefu/packages PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    KEFU_TRITON_ENV=/opt/kefu/triton KEFU_MODEL_REPOSITORY=/opt/kefu/models KEFU_BACKENDS_DIR=/opt/kefu/backends
USER 10001:10001
EXPOSE 8001 8002 8003
ENTRYPOINT ["/usr/bin/python3", "-m", "kefu_modelhost", "serve"]
