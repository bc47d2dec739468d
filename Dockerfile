# The static binary in an otherwise empty image.
#
#   docker build -t eice .                                              the client commands
#   docker build -t eice --build-arg FEATURES=all .                     with serve, demo and emulator
#   docker run --rm -it -e AWS_REGION -e AWS_ACCESS_KEY_ID -e AWS_SECRET_ACCESS_KEY eice ssh i-0123456789abcdef0
#
# In another image: COPY --from=eice /usr/bin/eice /usr/bin/eice, and `ln -s eice /usr/bin/aws` if programs call aws-cli
# (docs/packaging.md).

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
ARG FEATURES=client
RUN make static FEATURES="$FEATURES"
RUN packaging/image.sh target/packages/eice /image

FROM scratch
COPY --from=build /image/ /
# Host keys; mount a volume here to keep them between runs.
ENV XDG_STATE_HOME=/state
VOLUME /state
USER 65532:65532
ENTRYPOINT ["/usr/bin/eice"]
