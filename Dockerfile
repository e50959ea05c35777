# check=skip=RedundantTargetPlatform
# SPDX-License-Identifier: MIT
# The images of agent-runner; docs/docker.md tells them apart. `make build-image TARGET=NAME`.
#
# A target is what it holds, from what changes least to what changes most: packages of Debian, the
# agent's program, our binary. So another binary replaces the last layer of each image and no other.

# Every version. A package of npm has to be in tools/image/npm-checksums, too.
ARG BASE_IMAGE=debian:bookworm-slim
ARG CLAUDE_VERSION=2.1.329
ARG NODE_VERSION=22.23.3
ARG NPM_VERSION=10.9.9
ARG PNPM_VERSION=10.33.0
ARG AGENT_BROWSER_VERSION=0.27.0
ARG GEMINI_VERSION=0.61.0
# The newest that is to be had for both architectures.
ARG OPENCODE_VERSION=1.18.18
ARG CODEX_ACP_VERSION=0.16.0
ARG COPILOT_VERSION=1.0.102

# Our binary, linked statically: it needs nothing of the image that it gets into. Built on the builder's
# own architecture, also for another: to emulate a compiler takes many times as long.
FROM --platform=${BUILDPLATFORM} ${BASE_IMAGE} AS build
ARG TARGETARCH
WORKDIR /src
COPY tools/packages.sh tools/
RUN this=$(dpkg --print-architecture) && \
	if [ "${TARGETARCH:-$this}" != "$this" ]; then echo "cross-$TARGETARCH"; fi >/cross && \
	tools/packages.sh build static $(cat /cross) && rm -rf /var/lib/apt/lists/*
COPY . .
RUN meson setup --buildtype=release -Doptimization=2 --prefix=/usr/local --strip -Dtests=disabled -Dstatic=enabled \
		$(sed 's|cross-\(.*\)|--cross-file cross/\1.ini|' /cross) build && \
	DESTDIR=/out meson install -C build --tags runtime && \
	ln -s agent-runner /out/usr/local/bin/bun

# For COPY --from in any Dockerfile, or to be run on a volume.
FROM scratch AS bin
ARG VERSION=dev-local
LABEL org.opencontainers.image.title="agent-runner" \
	org.opencontainers.image.description="PID 1 and session loop of an agent container" \
	org.opencontainers.image.licenses="MIT" \
	org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/usr/local/bin/agent-runner /agent-runner
USER 1000:1000
ENTRYPOINT ["/agent-runner"]

# npm, to fetch what is fetched from there. Nothing of this stage but those packages gets on. The
# platform is said since podman 4 otherwise takes that of the first stage, the builder's own.
FROM --platform=${TARGETPLATFORM} ${BASE_IMAGE} AS npm
COPY tools/image/apt.sh /image/
RUN --mount=type=cache,target=/var/cache/image-apt,sharing=locked \
	/image/apt.sh npm ca-certificates openssl
COPY tools/image/npm.sh tools/image/npm-checksums /image/
ARG TARGETARCH
# npm's names of the architectures.
RUN case "${TARGETARCH:-$(dpkg --print-architecture)}" in \
	amd64) echo x64 ;; \
	arm64) echo arm64 ;; \
	*) echo "the agents are on npm for amd64 and arm64 only" >&2; exit 1 ;; \
	esac >/image/arch

FROM npm AS get-claude
ARG CLAUDE_VERSION
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
	/image/npm.sh "@anthropic-ai/claude-code-linux-$(cat /image/arch)@${CLAUDE_VERSION}" /package && \
	install -D -m 755 /package/claude /out/pnpm/claude && \
	install -d /out/usr/local/bin && ln -s /pnpm/claude /out/usr/local/bin/claude && \
	rm -rf /package

FROM npm AS get-node
ARG NODE_VERSION
ARG NPM_VERSION
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
	/image/npm.sh "node-linux-$(cat /image/arch)@${NODE_VERSION}" /package && \
	install -D -m 755 /package/bin/node /out/usr/local/bin/node && rm -rf /package && \
	/image/npm.sh "npm@${NPM_VERSION}" /out/usr/local/lib/node_modules/npm && \
	cd /out/usr/local/bin && ln -s ../lib/node_modules/npm/bin/npm-cli.js npm && \
	ln -s ../lib/node_modules/npm/bin/npx-cli.js npx && \
	chmod 755 ../lib/node_modules/npm/bin/*.js

FROM npm AS get-tools
ARG PNPM_VERSION
ARG AGENT_BROWSER_VERSION
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
	/image/npm.sh "pnpm@${PNPM_VERSION}" /out/usr/local/lib/node_modules/pnpm && \
	/image/npm.sh "agent-browser@${AGENT_BROWSER_VERSION}" \
		/out/usr/local/lib/node_modules/agent-browser && \
	cd /out/usr/local/lib/node_modules/agent-browser/bin && \
	find . -name 'agent-browser-*' ! -name "agent-browser-linux-$(cat /image/arch)" -delete && \
	install -d /out/usr/local/bin && cd /out/usr/local/bin && \
	ln -s ../lib/node_modules/pnpm/bin/pnpm.cjs pnpm && \
	ln -s ../lib/node_modules/pnpm/bin/pnpx.cjs pnpx && \
	ln -s ../lib/node_modules/agent-browser/bin/agent-browser.js agent-browser && \
	chmod 755 pnpm pnpx agent-browser ../lib/node_modules/agent-browser/bin/*

FROM npm AS get-gemini
ARG GEMINI_VERSION
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
	/image/npm.sh "@google/gemini-cli@${GEMINI_VERSION}" \
		/out/usr/local/lib/node_modules/@google/gemini-cli && \
	install -d /out/usr/local/bin && cd /out/usr/local/bin && \
	ln -s ../lib/node_modules/@google/gemini-cli/bundle/gemini.js gemini && chmod 755 gemini

FROM npm AS get-opencode
ARG OPENCODE_VERSION
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
	/image/npm.sh "opencode-linux-$(cat /image/arch)@${OPENCODE_VERSION}" /package && \
	install -D -m 755 /package/bin/opencode /out/usr/local/bin/opencode && rm -rf /package

FROM npm AS get-codex
ARG CODEX_ACP_VERSION
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
	/image/npm.sh "@zed-industries/codex-acp-linux-$(cat /image/arch)@${CODEX_ACP_VERSION}" /package && \
	install -D -m 755 /package/bin/codex-acp /out/usr/local/bin/codex-acp && rm -rf /package

FROM npm AS get-copilot
ARG COPILOT_VERSION
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
	/image/npm.sh "@github/copilot-linux-$(cat /image/arch)@${COPILOT_VERSION}" /package && \
	install -D -m 755 /package/copilot /out/usr/local/bin/copilot && rm -rf /package

# What an agent works with, and its user.
FROM --platform=${TARGETPLATFORM} ${BASE_IMAGE} AS packages
COPY tools/image/apt.sh /image/
RUN --mount=type=cache,target=/var/cache/image-apt,sharing=locked \
	/image/apt.sh bash ca-certificates curl git jq openssh-client python3 ripgrep tzdata unzip && \
	rm -rf /image
# A base that has the user already (node's own images do) keeps it. Its entry in shadow would name
# the day of the build.
RUN { getent group 1000 >/dev/null || groupadd --gid 1000 node; } && \
	{ getent passwd 1000 >/dev/null || \
		useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash node; } && \
	sed -i 's/^\(node:[^:]*\):[0-9]*:/\1::/' /etc/shadow && \
	install -d -o 1000 -g 1000 /home/node /workspace /workspace/group /workspace/extra && \
	rm -f /etc/*- /var/log/lastlog /var/log/faillog
# Where hosts mount credentials: a runtime that had to make these would make them root's, and the
# agent CLI could write nothing beside its credentials.
RUN install -d -o 1000 -g 1000 -m 700 /home/node/.claude /home/node/.aws /home/node/.kiro && \
	install -d -o 1000 -g 1000 /home/node/.local /home/node/.local/share
# For git in "docker exec", which does not get the environment that PID 1 makes. The lowest of git's
# levels: what a person, a repository or PID 1 says counts more.
RUN printf '[%s]\n\t%s\n' safe 'directory = *' user 'name = Agent' user 'email = agent@localhost' \
	>/etc/gitconfig
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	HOME=/home/node LANG=C.UTF-8
WORKDIR /workspace
USER node
# No VOLUME: an anonymous volume would pass for the mounted workspace that the start asks for.
HEALTHCHECK --interval=30s --timeout=10s --retries=3 \
	CMD ["/usr/local/bin/agent-runner", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/agent-runner"]
LABEL org.opencontainers.image.title="agent-runner" \
	org.opencontainers.image.description="PID 1 and session loop of an agent container" \
	org.opencontainers.image.licenses="MIT"

# The same without what an agent does without: apt, dpkg, perl. Copied, so that it is gone.
FROM packages AS trimmed
USER root
COPY tools/image/trim.sh /image/
RUN /image/trim.sh && rm -rf /image

FROM scratch AS system
COPY --from=trimmed / /
# As above.
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	HOME=/home/node LANG=C.UTF-8
WORKDIR /workspace
USER node
HEALTHCHECK --interval=30s --timeout=10s --retries=3 \
	CMD ["/usr/local/bin/agent-runner", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/agent-runner"]
LABEL org.opencontainers.image.title="agent-runner" \
	org.opencontainers.image.description="PID 1 and session loop of an agent container" \
	org.opencontainers.image.licenses="MIT"

# For images of one's own that take more from Debian.
FROM packages AS debian
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"

FROM system AS claude
COPY --from=get-claude /out/ /
ENV DISABLE_AUTOUPDATER=1
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"

# What a NanoClaw v2 host expects of its own image, and what it adds to it for a group.
FROM packages AS desktop
USER root
COPY tools/image/apt.sh /image/
ARG INSTALL_CJK_FONTS=false
RUN --mount=type=cache,target=/var/cache/image-apt,sharing=locked \
	/image/apt.sh chromium fonts-liberation fonts-noto-color-emoji \
		$([ "${INSTALL_CJK_FONTS}" != true ] || echo fonts-noto-cjk) && \
	rm -rf /image && install -d /app /pnpm && chmod 1777 /home/node
ENV AGENT_BROWSER_EXECUTABLE_PATH=/usr/bin/chromium \
	PLAYWRIGHT_CHROMIUM_EXECUTABLE_PATH=/usr/bin/chromium \
	PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 \
	PNPM_HOME=/pnpm PATH=/pnpm:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	DISABLE_AUTOUPDATER=1 \
	NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt

FROM desktop AS nanoclaw
COPY --from=get-node /out/ /
COPY --from=get-tools /out/ /
COPY --from=get-claude /out/ /
USER node
WORKDIR /workspace/group
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"

FROM system AS acp-gemini
COPY --from=get-node /out/usr/local/bin/node /usr/local/bin/
COPY --from=get-gemini /out/ /
ENV AGENT_PROVIDER=gemini
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"

FROM system AS acp-opencode
COPY --from=get-opencode /out/ /
ENV AGENT_PROVIDER=opencode OPENCODE_DISABLE_AUTOUPDATE=1
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"

FROM system AS acp-codex
COPY --from=get-codex /out/ /
ENV AGENT_PROVIDER=codex
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"

FROM system AS acp-copilot
COPY --from=get-copilot /out/ /
ENV AGENT_PROVIDER=copilot COPILOT_AUTO_UPDATE=false
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"

# The last, so that a build without a target makes it.
FROM system AS core
COPY --from=build /out/usr/local/ /usr/local/
ARG VERSION=dev-local
LABEL org.opencontainers.image.version="${VERSION}"
