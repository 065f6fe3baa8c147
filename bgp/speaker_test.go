package bgp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// instance is the i-th of many host routes, in 10.0.0.0/8 (RFC 1918).
func instance(i int) netip.Prefix {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24+uint32(i))
	return netip.PrefixFrom(netip.AddrFrom4(a), 32)
}

func value(v uint32) []byte { return binary.BigEndian.AppendUint32(make([]byte, 0, 32), v)[:32] }

// A burst of changes of many routes reaches the peer as the latest values, and
// a consumer that never takes anything costs one entry for a route.
func TestBurst(t *testing.T) {
	t.Parallel()
	const routes, rounds = 5000, 4
	a, b := pair(t, 64500, 64500)
	b.waitUp("a")
	anns := make([]Announcement, routes)
	for round := range uint32(rounds) {
		for i := range anns {
			anns[i] = Announcement{Prefix: instance(i), Attribute: value(round + 1)}
		}
		a.Put(anns...)
	}
	until(t, "all has arrived", func() bool {
		st := b.status("a")
		if st.Accepted != routes {
			return false
		}
		b.in.mu.Lock()
		defer b.in.mu.Unlock()
		for _, s := range b.in.queue {
			if ev, ok := s.route.pending.(RouteEvent); !ok || ev.Attribute[3] != rounds {
				return false
			}
		}
		return true
	})
	b.in.mu.Lock()
	queued := len(b.in.queue)
	b.in.mu.Unlock()
	if queued != routes {
		t.Errorf("%d entries wait for %d routes", queued, routes)
	}
	a.want.mu.Lock()
	if got := len(a.want.changed); got != 0 {
		t.Errorf("%d changes left", got)
	}
	a.want.mu.Unlock()
	b.wait("all", func(v *view) bool { return len(v.routes) == routes })
	if got := b.status("a").Updates; got > routes*rounds {
		t.Errorf("%d announcements heard of %d made", got, routes*rounds)
	}
}

func TestStartStopStart(t *testing.T) {
	t.Parallel()
	n := newNet()
	cfg := n.config(1, 64500, n.peer("raw", 1, 9, 64500, passive))
	for range 3 {
		s := start(t, cfg)
		p := dialRaw(t, n, n.identity(9, 64500))
		s.waitUp("raw")
		began := time.Now()
		s.stop()
		if d := time.Since(began); d > stopTimeout {
			t.Errorf("stopping took %v", d)
		}
		if err := s.Run(context.Background()); err == nil {
			t.Error("a Speaker ran twice")
		}
		if st := s.status("raw"); st.State != "stopped" || st.Up {
			t.Errorf("status after the end: %+v", st)
		}
		s.Put(ann("192.0.2.1/32", nil))
		s.Remove(prefixes("192.0.2.1/32")...)
		var goodbye string
		for m := range p.Messages() {
			goodbye = m.String()
		}
		if want := "NOTIFICATION 6/2"; !strings.HasPrefix(goodbye, want) {
			t.Errorf("goodbye %q, want %s", goodbye, want)
		}
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	n := newNet()
	l, err := net.Listen("tcp4", fmt.Sprint(n.addr(1), ":", testPort))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := New(n.config(1, 64500), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Run: %v", err)
	}
}

func TestGRPCIsReadOnly(t *testing.T) {
	t.Parallel()
	n := newNet()
	cfg := n.config(1, 64500, n.peer("far", 1, 2, 64500, func(p *Peer) { p.Password = "rosebud" }))
	cfg.GRPCSocket = filepath.Join(t.TempDir(), "gobgp.sock")

	t.Logf("# a socket left behind by a crash is in the way")
	left, err := net.Listen("unix", cfg.GRPCSocket)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()

	s := start(t, cfg)
	s.Put(ann("192.0.2.1/32", []byte{1}))
	conn, err := grpc.NewClient("unix://"+cfg.GRPCSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := api.NewGoBgpServiceClient(conn)
	ctx := testContext(t)

	until(t, "the route is in the table", func() bool {
		r, err := client.GetTable(ctx, &api.GetTableRequest{
			TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r.NumDestination == 1
	})
	peers, err := client.ListPeer(ctx, &api.ListPeerRequest{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := peers.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(p.String(), "rosebud") || p.Peer.Conf.AuthPassword == "" {
		t.Errorf("peer %v", p)
	}

	_, err = client.DeletePath(ctx, &api.DeletePathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("DeletePath: %v", err)
	}
	_, err = client.StopBgp(ctx, &api.StopBgpRequest{})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("StopBgp: %v", err)
	}
	add, err := client.AddPathStream(ctx)
	if err == nil {
		_, err = add.CloseAndRecv()
	}
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("AddPathStream: %v", err)
	}

	t.Logf("# two cannot serve one socket")
	again := cfg
	again.Listen = nil
	second, err := New(again, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(ctx); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("second Run: %v", err)
	}
	s.stop()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(cfg.GRPCSocket), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Every method that GoBGP has is either for reading or refused.
func TestReadOnlyMethods(t *testing.T) {
	allowed := 0
	methods := api.GoBgpService_ServiceDesc.Methods
	for _, m := range methods {
		if readOnly("/api.GoBgpService/"+m.MethodName) == nil {
			allowed++
			if !strings.HasPrefix(m.MethodName, "Get") && !strings.HasPrefix(m.MethodName, "List") {
				t.Errorf("%s is allowed", m.MethodName)
			}
		}
	}
	if allowed == 0 || allowed == len(methods) {
		t.Errorf("%d of %d allowed", allowed, len(methods))
	}
}

func TestCollector(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 64500, 64500)
	a.Put(ann("192.0.2.1/32", []byte{1}))
	b.waitRoute("a", "192.0.2.1/32", []byte{1})
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(b.Collector()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			got[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	for name, min := range map[string]float64{
		"catsbgp_bgp_peer_up": 1, "catsbgp_bgp_peer_routes_accepted": 1, "catsbgp_bgp_peer_messages_received_total": 3,
		"catsbgp_gobgp_fsm_loop_mgmt_op_timing_sec": 1,
	} {
		if got[name] < min {
			t.Errorf("%s = %v, want at least %v", name, got[name], min)
		}
	}
	b.stop()
	if _, err := reg.Gather(); err != nil {
		t.Errorf("after the end: %v", err)
	}
}

func TestBadAnnouncementsAreDropped(t *testing.T) {
	var log strings.Builder
	s, err := New(newNet().config(1, 64500), zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	s.Put(
		Announcement{},
		Announcement{Prefix: netip.MustParsePrefix("192.0.2.1/32"), NextHop: netip.MustParseAddr("2001:db8::1")},
		Announcement{Prefix: netip.MustParsePrefix("2001:db8::/64"), NextHop: netip.MustParseAddr("192.0.2.1")},
		Announcement{Prefix: netip.MustParsePrefix("192.0.2.7/24")},
	)
	if len(s.want.items) != 1 || s.want.items[netip.MustParsePrefix("192.0.2.0/24")] == nil {
		t.Errorf("wanted %v", s.want.items)
	}
	if n := strings.Count(log.String(), "not announced"); n != 3 {
		t.Errorf("%d complaints, want 3: %s", n, log.String())
	}
}
