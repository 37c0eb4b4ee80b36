# Nightjar in an image of nothing but its binary: no shell, no libc, no root.
#
#   docker build --build-arg VERSION=v0.1.0 -t nightjar .
#   docker run -p 1883:1883 -v nightjar:/data -v ./nightjar.yaml:/etc/nightjar/nightjar.yaml:ro --read-only nightjar
#
# Listeners in that file must not be on loopback, which is the container's own; the broker then asks for an
# authenticator. Without a log driver of its own, it logs to stderr.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /nightjar ./cmd/nightjar
RUN mkdir /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /nightjar /nightjar
COPY --from=build --chown=65532:65532 --chmod=0700 /data /data
USER 65532:65532
# Relative paths in the config file end in the volume.
WORKDIR /data
VOLUME /data
# MQTT, MQTT over TLS, and both over WebSocket.
EXPOSE 1883 8883 8083 8084
ENTRYPOINT ["/nightjar"]
CMD ["serve", "--config", "/etc/nightjar/nightjar.yaml"]
