package advert

import "hash/fnv"

// Index returns the CommunityIndex.Service of a CS-ID that large communities
// cannot name (IPv6): FNV-1a over its address and length, the same at every
// agent without configuration, never 0. Two services of one domain with the
// same index cannot be told apart; the receiver sees that and uses neither.
func (c CSID) Index() uint32 {
	h := fnv.New32a()
	b := c.prefix.Addr().As16()
	h.Write(b[:])
	h.Write([]byte{byte(c.prefix.Bits())})
	return max(h.Sum32(), 1)
}
