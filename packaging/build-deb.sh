#!/bin/sh
# Builds a Debian package: packaging/build-deb.sh VERSION [OUTPUT-DIRECTORY]
#
# Needs Go and dpkg-deb, nothing else and no root. Two builds of one commit are
# the same, octet for octet.
#
#   GOARCH             another architecture: amd64, arm64
#   CATSBGP_BINARY     take this program instead of building one
#   DEB_COMPRESSION    xz (default), gzip, none
#   SOURCE_DATE_EPOCH  time of the files; default: of the last commit
set -eu

version=${1:?"usage: $0 VERSION [OUTPUT-DIRECTORY]"}
version=${version#v}
case $version in
[0-9]*) ;;
*)
	echo "$0: version $version does not begin with a digit" >&2
	exit 2
	;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
out=${2:-$root/dist}
arch=${GOARCH:-$(cd "$root" && go env GOARCH)}
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || echo 0)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
umask 022

build() { # GOARCH, output
	(cd "$root" && CGO_ENABLED=0 GOARCH=$1 go build -trimpath -ldflags "-s -w -X main.version=v$version" -o "$2" ./cmd/catsbgp)
}
if [ -n "${CATSBGP_BINARY:-}" ]; then
	cp "$CATSBGP_BINARY" "$work/catsbgp"
else
	build "$arch" "$work/catsbgp"
fi
# Manual pages and completions come from the program itself, which must run here.
host=$work/catsbgp
if [ "$arch" != "$(cd "$root" && go env GOHOSTARCH)" ]; then
	host=$work/catsbgp-host
	build "$(cd "$root" && go env GOHOSTARCH)" "$host"
fi

tree=$work/tree
install -D -m 0755 "$work/catsbgp" "$tree/usr/bin/catsbgp"
install -D -m 0644 "$root/packaging/catsbgp.service" "$tree/lib/systemd/system/catsbgp.service"
install -D -m 0644 "$root/packaging/sysusers.conf" "$tree/usr/lib/sysusers.d/catsbgp.conf"
# The configuration of a fresh installation has no peers: it starts and does no harm.
install -D -m 0644 "$root/internal/config/minimal.toml" "$tree/etc/catsbgp/catsbgp.toml"
doc=$tree/usr/share/doc/catsbgp
install -D -m 0644 "$root/config.toml" "$doc/config.toml"
install -D -m 0644 "$root/LICENSE" "$doc/copyright"
install -D -m 0644 "$root/packaging/contrib/prometheus/alerts.yml" "$doc/prometheus/alerts.yml"
install -D -m 0644 "$root/packaging/contrib/grafana/catsbgp.json" "$doc/grafana/catsbgp.json"
printf 'catsbgp (%s) unstable; urgency=medium\n\n  * See the changelog of the project.\n\n -- catsbgp <catsbgp@localhost>  %s\n' \
	"$version" "$(date -u -R -d "@$epoch")" | gzip -9n >"$doc/changelog.gz"

"$host" docs man "$tree/usr/share/man/man8"
gzip -9n "$tree"/usr/share/man/man8/*.8
install -d "$tree/usr/share/bash-completion/completions" "$tree/usr/share/zsh/vendor-completions" "$tree/usr/share/fish/vendor_completions.d"
"$host" completion bash >"$tree/usr/share/bash-completion/completions/catsbgp"
"$host" completion zsh >"$tree/usr/share/zsh/vendor-completions/_catsbgp"
"$host" completion fish >"$tree/usr/share/fish/vendor_completions.d/catsbgp.fish"

install -d "$tree/DEBIAN"
for script in postinst prerm postrm; do
	install -m 0755 "$root/packaging/deb/$script" "$tree/DEBIAN/$script"
done
echo /etc/catsbgp/catsbgp.toml >"$tree/DEBIAN/conffiles"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: catsbgp
Version: $version
Architecture: $arch
Maintainer: catsbgp <catsbgp@localhost>
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$tree" | cut -f1)
Recommends: systemd
Section: net
Priority: optional
Description: computing-aware traffic steering by BGP
 At a service site, catsbgp measures the instances of anycast services and
 announces in BGP how they are doing. At an ingress, it hears all sites,
 measures the network and splits new flows over the instances
 (Computing-Aware Traffic Steering, RFC 10053).
CONTROL
(cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$tree" -exec touch -h -d "@$epoch" {} +

mkdir -p "$out"
SOURCE_DATE_EPOCH=$epoch dpkg-deb --build --root-owner-group "-Z${DEB_COMPRESSION:-xz}" "$tree" "$out/catsbgp_${version}_${arch}.deb" >/dev/null
echo "$out/catsbgp_${version}_${arch}.deb"
