package bgp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestNewRefuses(t *testing.T) {
	addr := netip.MustParseAddr
	outside := func(p *Peer) { p.InDomain = false }
	tests := []struct {
		name string
		edit func(*Config)
		want string // in the error
	}{
		{"no asn", func(c *Config) { c.ASN = 0 }, "asn: 0"},
		{"no router id", func(c *Config) { c.RouterID = netip.Addr{} }, "router id"},
		{"IPv6 router id", func(c *Config) { c.RouterID = addr("2001:db8::1") }, "must be an IPv4 address"},
		{"a known attribute", func(c *Config) { c.AttributeType = 5 }, "attribute type 5"},
		{"the edge attribute", func(c *Config) { c.AttributeType = 42 }, "attribute type 42"},
		{"negative limit", func(c *Config) { c.MaxRoutesPerPeer = -1 }, "max routes"},
		{"long socket path", func(c *Config) { c.GRPCSocket = strings.Repeat("x", 120) }, "path too long"},
		{"peer without a name", func(c *Config) { c.Peers[0].Name = "" }, "no name"},
		{"peer without an address", func(c *Config) { c.Peers[0].Address = netip.Addr{} }, "unicast address"},
		{"link-local peer", func(c *Config) { c.Peers[0].Address = addr("fe80::1%eth0") }, "link-local"},
		{"mixed families", func(c *Config) { c.Peers[0].LocalAddress = addr("2001:db8::1") }, "other family"},
		{"peer asn", func(c *Config) { c.Peers[0].ASN = 0 }, "asn: 0"},
		{"short hold time", func(c *Config) { c.Peers[0].HoldTime = time.Second }, "hold time 1s"},
		{"long hold time", func(c *Config) { c.Peers[0].HoldTime = 24 * time.Hour }, "hold time"},
		{"no families", func(c *Config) { c.Peers[0].IPv4, c.Peers[0].IPv6 = false, false }, "no address family"},
		{"long password", func(c *Config) { c.Peers[0].Password = strings.Repeat("x", 81) }, "longer than 80"},
		{"GTSM and multihop", func(c *Config) { c.Peers[0].TTLSecurity, c.Peers[0].MultihopTTL = true, 2 }, "exclude each other"},
		{"BFD and multihop", func(c *Config) { c.Peers[0].BFD, c.Peers[0].MultihopTTL = true, 2 }, "single-hop"},
		{"reflecting to eBGP", func(c *Config) { c.Peers[0].ReflectorFor, c.Peers[0].ASN = true, 64501 }, "in our AS"},
		{"reflecting outside", func(c *Config) { c.Peers[0].ReflectorFor, c.Peers[0].InDomain = true, false }, "in the domain"},
		{"edge metadata outside", func(c *Config) { c.Peers[0].EdgeMetadata, c.Peers[0].InDomain = true, false }, "in the domain only"},
		{"long restart", func(c *Config) { c.Peers[0].GracefulRestart = 2 * time.Hour }, "graceful restart"},
		{"LLGR alone", func(c *Config) { c.Peers[0].LongLivedGracefulRestart = time.Hour }, "needs graceful restart"},
		{"same name", func(c *Config) { c.Peers[1].Name = c.Peers[0].Name }, "used twice"},
		{"same address", func(c *Config) { c.Peers[1].Address = c.Peers[0].Address }, "same address"},
		{"passive without listening", func(c *Config) { c.Listen, c.Peers[0].Passive = nil, true }, "listen nowhere"},
		{"passive peer outside", func(c *Config) { outside(&c.Peers[1]); passive(&c.Peers[1]) }, "only one table can listen"},
	}
	n := newNet()
	for _, tt := range tests {
		cfg := n.config(1, 64500, n.peer("a", 1, 2, 64500), n.peer("b", 1, 3, 64500))
		tt.edit(&cfg)
		if _, err := New(cfg, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}

	t.Logf("# all faults are named at once")
	_, err := New(Config{Peers: []Peer{{Name: "a"}}}, zerolog.Nop())
	for _, want := range []string{"asn", "router id", "address", "no address family"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestPlanes(t *testing.T) {
	n := newNet()
	in := n.peer("in", 1, 2, 64500)
	out := n.peer("out", 1, 3, 64501, func(p *Peer) { p.InDomain = false })
	edge := n.peer("edge", 1, 4, 64500, func(p *Peer) { p.EdgeMetadata = true })
	tests := []struct {
		name   string
		peers  []Peer
		need   []carriage
		listen carriage
	}{
		{"no peers", nil, []carriage{carryDomain}, carryDomain},
		{"domain", []Peer{in}, []carriage{carryDomain}, carryDomain},
		{"all", []Peer{edge, out, in}, []carriage{carryDomain, carryBoundary, carryEdge}, carryDomain},
		{"boundary", []Peer{out}, []carriage{carryBoundary}, carryBoundary},
		{"edge", []Peer{edge}, []carriage{carryEdge}, carryEdge},
	}
	for _, tt := range tests {
		cfg := n.config(1, 64500, tt.peers...)
		need, listen := cfg.planes()
		var got []carriage
		for c := range numCarriages {
			if need.has(c) {
				got = append(got, c)
			}
		}
		if !slices.Equal(got, tt.need) || listen != tt.listen {
			t.Errorf("%s: planes %v, %v listens", tt.name, got, listen)
		}
	}
}

func TestEdgeMetadataTooLate(t *testing.T) {
	w := worldState{speakers: 1}
	if err := w.enableEdgeMetadata(); err == nil {
		t.Error("taught while a speaker runs")
	}
	w = worldState{speakers: 1, edgeMetadata: true}
	if err := w.enableEdgeMetadata(); err != nil {
		t.Error(err)
	}
}

func TestLogHidesSecrets(t *testing.T) {
	var out strings.Builder
	var p plane
	log := newLogger(zerolog.New(&out).Level(zerolog.DebugLevel), &p.mute)
	log.With("Topic", "Peer").WithGroup("g").Info("hello", "AuthPassword", "rosebud", "Key", "192.0.2.1")
	log.Debug("not at this level")
	log.Warn("a warning")
	p.mute.Store(true)
	log.Error("muted")
	want := `{"level":"debug","topic":"Peer","g.authpassword":"(not shown)","g.key":"192.0.2.1","message":"hello"}` + "\n" +
		`{"level":"warn","message":"a warning"}` + "\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestPacer(t *testing.T) {
	c := newPacer(sendHoldTime)
	n := sentCount{addr: netip.MustParseAddr("192.0.2.1"), established: true, hold: 90 * time.Second, families: [2]bool{true, false}}
	now := t0
	look := func(handed [2]int, messages uint64) (slow, stuck bool) {
		now = now.Add(time.Second)
		c.slow = false
		c.since[carryDomain], n.messages = handed, messages
		stuck = c.look(now, carryDomain, n)
		return c.slow, stuck
	}
	want := func(why string, handed int, messages uint64, wantSlow, wantStuck bool) {
		t.Helper()
		if slow, stuck := look([2]int{handed, 10 * outstanding}, messages); slow != wantSlow || stuck != wantStuck {
			t.Errorf("%s: slow %v, stuck %v", why, slow, stuck)
		}
	}
	want("first seen", 10*outstanding, 5, false, false)
	want("nothing left, but few changes, as IPv6 is none of its business", outstanding, 5, false, false)
	want("one more", 1, 5, true, false)
	want("a message left", outstanding, 6, false, false)
	now = now.Add(sendHoldTime)
	want("nothing left for long", 1, 6, false, true)
	n.hold = 0
	want("without keepalives that says little", 1, 6, false, false)
	n.hold, n.established = 90*time.Second, false
	want("not established", 10*outstanding, 6, false, false)
	n.established = true
	want("established again", 1, 6, false, false)
}
