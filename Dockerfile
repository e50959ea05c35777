# SPDX-License-Identifier: MIT
# The layers stand in the order of how seldom they change: packages, user, binary.
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY tools/packages.sh tools/
RUN tools/packages.sh build
COPY . .
RUN meson setup --buildtype=release --prefix=/usr/local --strip -Dtests=disabled build && \
	DESTDIR=/out meson install -C build

FROM ${BASE_IMAGE}
RUN apt-get update && \
	apt-get install -y --no-install-recommends ca-certificates tzdata \
		libcap2 libjansson4 libsqlite3-0 && \
	rm -rf /var/lib/apt/lists/*
# A base that has the user already (node's own images do) keeps it.
RUN { getent group 1000 >/dev/null || groupadd --gid 1000 node; } && \
	{ getent passwd 1000 >/dev/null || \
		useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash node; } && \
	install -d -o 1000 -g 1000 /home/node /workspace /workspace/group /workspace/extra
# Where hosts mount credentials: a runtime that had to make these would make them root's, and the
# agent CLI could write nothing beside its credentials.
RUN install -d -o 1000 -g 1000 -m 700 /home/node/.claude /home/node/.aws /home/node/.kiro && \
	install -d -o 1000 -g 1000 /home/node/.local /home/node/.local/share
# For git in "docker exec", which does not get the environment that PID 1 makes. The lowest of git's
# levels: what a person, a repository or PID 1 says counts more.
RUN printf '[%s]\n\t%s\n' safe 'directory = *' user 'name = Agent' user 'email = agent@localhost' \
	>/etc/gitconfig
ENV HOME=/home/node LANG=C.UTF-8
WORKDIR /workspace
COPY --from=build /out/usr/local/ /usr/local/
# Hosts made for NanoClaw's own runner start it by this name; for what is not ours it becomes the
# real bun, if one is installed.
RUN ln -s agent-runner /usr/local/bin/bun

ARG VERSION=unknown
LABEL org.opencontainers.image.title="agent-runner" \
	org.opencontainers.image.description="PID 1 and session loop of an agent container" \
	org.opencontainers.image.licenses="MIT" \
	org.opencontainers.image.version="${VERSION}"

USER node
# No VOLUME: an anonymous volume would pass for the mounted workspace that the start asks for.
HEALTHCHECK --interval=30s --timeout=10s --retries=3 \
	CMD ["/usr/local/bin/agent-runner", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/agent-runner"]
