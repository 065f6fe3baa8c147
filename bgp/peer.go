package bgp

import (
	"strings"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// addPathSendMax is the number of paths for one prefix that we send with
// ADD-PATH: all that GoBGP can count.
const addPathSendMax = 255

// BFD timers: loss is seen within 300 ms x 3 (RFC 5880).
const (
	bfdInterval   = 300_000 // µs
	bfdMultiplier = 3
)

// toPeer is p, which is normalized, as GoBGP takes it.
func toPeer(p *Peer) *api.Peer {
	retry := seconds(max(p.ConnectRetry, time.Second))
	out := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: p.Address.String(), PeerAsn: p.ASN,
			AuthPassword: p.Password, Description: p.Name,
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			ConnectRetry:           retry,
			IdleHoldTimeAfterReset: retry,
			HoldTime:               seconds(p.HoldTime),
			KeepaliveInterval:      max(1, seconds(p.HoldTime/3)),
		}},
		Transport:      &api.Transport{RemotePort: uint32(p.Port), PassiveMode: p.Passive},
		RouteReflector: &api.RouteReflector{RouteReflectorClient: p.ReflectorFor},
	}
	if p.LocalAddress.IsValid() {
		out.Transport.LocalAddress = p.LocalAddress.String()
	}
	if p.TTLSecurity {
		out.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 255}
	}
	if p.MultihopTTL > 1 {
		out.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(p.MultihopTTL)}
	}
	if p.GracefulRestart > 0 {
		out.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(seconds(p.GracefulRestart)),
			NotificationEnabled: true, LonglivedEnabled: p.LongLivedGracefulRestart > 0,
		}
	}
	if p.BFD {
		out.Bfd = &api.BfdPeerConfig{
			Enabled: true, DesiredMinimumTxInterval: bfdInterval,
			RequiredMinimumReceive: bfdInterval, DetectionMultiplier: bfdMultiplier,
		}
	}
	if p.IPv4 {
		out.AfiSafis = append(out.AfiSafis, toAfiSafi(p, api.Family_AFI_IP))
	}
	if p.IPv6 {
		out.AfiSafis = append(out.AfiSafis, toAfiSafi(p, api.Family_AFI_IP6))
	}
	return out
}

func toAfiSafi(p *Peer, afi api.Family_Afi) *api.AfiSafi {
	out := &api.AfiSafi{Config: &api.AfiSafiConfig{
		Family:  &api.Family{Afi: afi, Safi: api.Family_SAFI_UNICAST},
		Enabled: true,
	}}
	if p.AddPath {
		out.AddPaths = &api.AddPaths{Config: &api.AddPathsConfig{Receive: true, SendMax: addPathSendMax}}
	}
	if p.GracefulRestart > 0 {
		out.MpGracefulRestart = &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}}
	}
	if p.LongLivedGracefulRestart > 0 {
		out.LongLivedGracefulRestart = &api.LongLivedGracefulRestart{Config: &api.LongLivedGracefulRestartConfig{
			Enabled: true, RestartTime: uint32(seconds(p.LongLivedGracefulRestart)),
		}}
	}
	return out
}

// seconds rounds up, as fractions would otherwise become "not set".
func seconds(d time.Duration) uint64 {
	return uint64((d + time.Second - 1) / time.Second)
}

// restartFamilies are the families (IPv4, IPv6) for which the peer announced
// graceful restart in its OPEN.
func restartFamilies(caps []bgp.ParameterCapabilityInterface) (out [2]bool) {
	for _, c := range caps {
		gr, ok := c.(*bgp.CapGracefulRestart)
		if !ok {
			continue
		}
		for _, t := range gr.Tuples {
			if t.SAFI != bgp.SAFI_UNICAST {
				continue
			}
			switch t.AFI {
			case bgp.AFI_IP:
				out[0] = true
			case bgp.AFI_IP6:
				out[1] = true
			}
		}
	}
	return out
}

func sessionState(s bgp.FSMState) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "BGP_FSM_"))
}

// disconnectReason is GoBGP's reason in words. detail is its own text, which
// names the notification.
func disconnectReason(r api.PeerState_DisconnectReason, detail string) string {
	if detail != "" {
		return detail
	}
	if r == api.PeerState_DISCONNECT_REASON_UNSPECIFIED {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(r.String(), "DISCONNECT_REASON_")), "_", "-")
}
