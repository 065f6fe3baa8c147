package bgp

import (
	"bytes"
	"net/netip"
	"testing"
)

// pair starts two speakers, a at .1 (active) and b at .2 (passive).
func pair(t testing.TB, asA, asB uint32, edit ...func(*Peer)) (a, b *runner) {
	n := newNet()
	b = start(t, n.config(2, asB, n.peer("a", 2, 1, asA, append(edit, passive)...)))
	a = start(t, n.config(1, asA, n.peer("b", 1, 2, asB, edit...)))
	return a, b
}

func TestExchange(t *testing.T) {
	for name, as := range map[string][2]uint32{
		"iBGP": {64500, 64500}, "eBGP": {64500, 64501}, "four-octet eBGP": {64500, 4200000001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, as[0], as[1])
			long := bytes.Repeat([]byte{0xca, 0xfe, 0, 0xff}, 300)
			first := ann("192.0.2.10/32", []byte{1, 2, 3})
			first.Communities = []uint32{GracefulShutdown, NoExport}
			first.LargeCommunities = []LargeCommunity{{64500, 0xca000102, 7}}
			if as[0] != as[1] {
				first.Communities = first.Communities[:1] // NO_EXPORT means what it says
			}
			a.Set([]Announcement{first, ann("192.0.2.11/32", long)})
			v6 := ann("2001:db8::7/128", []byte{6})
			v6.NextHop = netip.MustParseAddr("2001:db8::1")
			b.Put(ann("198.51.100.1/32", []byte{}), v6)

			b.waitUp("a")
			ev := b.waitRoute("a", "192.0.2.10/32", first.Attribute)
			if ev.NextHop.String() != a.cfg.Listen[0].String() {
				t.Errorf("next hop %v, want a's own address", ev.NextHop)
			}
			if len(ev.Communities) != len(first.Communities) || len(ev.LargeCommunities) != 1 || ev.LargeCommunities[0] != first.LargeCommunities[0] {
				t.Errorf("communities %x %v", ev.Communities, ev.LargeCommunities)
			}
			if as[0] != as[1] && (len(ev.ASPath) != 1 || ev.ASPath[0] != as[0]) {
				t.Errorf("AS path %v", ev.ASPath)
			}
			b.waitRoute("a", "192.0.2.11/32", long)

			a.waitUp("b")
			a.waitRoute("b", "198.51.100.1/32", []byte{})
			if ev := a.waitRoute("b", "2001:db8::7/128", v6.Attribute); ev.NextHop != v6.NextHop {
				t.Errorf("IPv6 next hop %v, want %v", ev.NextHop, v6.NextHop)
			}

			t.Logf("# a change of value, a withdrawal by Remove, one by Set")
			a.Put(ann("192.0.2.11/32", []byte{9}), ann("192.0.2.12/32", []byte{12}))
			b.waitRoute("a", "192.0.2.11/32", []byte{9})
			b.waitRoute("a", "192.0.2.12/32", []byte{12})
			a.Remove(prefixes("192.0.2.10/32")...)
			b.waitGone("a", "192.0.2.10/32")
			a.Set([]Announcement{ann("192.0.2.12/32", []byte{13})})
			b.waitGone("a", "192.0.2.11/32")
			b.waitRoute("a", "192.0.2.12/32", []byte{13})
			if got := len(b.view.routes); got != 1 {
				t.Errorf("%d routes left, want 1: %v", got, b.view.routes)
			}

			st := a.status("b")
			if !st.Up || st.State != "established" || st.Intended != 1 || st.Sent != 1 || st.Accepted != 2 || st.Received != 2 {
				t.Errorf("status %+v", st)
			}

			t.Logf("# a stops: everything it said is withdrawn, after the loss")
			a.stop()
			b.wait("a is down and its route gone", func(v *view) bool { return !v.up["a"] && len(v.routes) == 0 })
			if st := b.status("a"); st.Up || st.Flaps != 1 || st.LastError == "" || st.Accepted != 0 {
				t.Errorf("status %+v", st)
			} else {
				t.Log("last error:", st.LastError)
			}
		})
	}
}
