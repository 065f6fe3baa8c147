package tls13

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The traces of RFC 8448, sections 3 and 4.
const (
	rfcClientKey   = "49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005"
	rfcServerKey   = "b1580eeadf6dd589b8ef4f2d5652578cc810e9980191ec8d058308cea216a21e"
	rfcClientHello = `010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7
		000006130113031302010000910000000b0009000006736572766572ff01000100000a00140012
		001d0017001800190100010101020103010400230000003300260024001d002099381de560e4bd
		43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e04
		0305030603020308040805080604010501060102010402050206020202002d00020101001c0002
		4001`
	rfcServerHello = `020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e26928
		00130100002e00330024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd
		69b1b04e751f0f002b00020304`
	rfcEncryptedExtensions = `080000240022000a00140012001d00170018001901000101010201030104001c000240
		0100000000`
	rfcCertificate = `0b0001b9000001b50001b0308201ac30820115a003020102020102300d06092a864886f70d01
		010b0500300e310c300a06035504031303727361301e170d3136303733303031323335395a170d
		3236303733303031323335395a300e310c300a0603550403130372736130819f300d06092a8648
		86f70d010101050003818d0030818902818100b4bb498f8279303d980836399b36c6988c0c68de
		55e1bdb826d3901a2461eafd2de49a91d015abbc9a95137ace6c1af19eaa6af98c7ced43120998
		e187a80ee0ccb0524b1b018c3e0b63264d449a6d38e22a5fda430846748030530ef0461c8ca9d9
		efbfae8ea6d1d03e2bd193eff0ab9a8002c47428a6d35a8d88d79f7f1e3f0203010001a31a3018
		30090603551d1304023000300b0603551d0f0404030205a0300d06092a864886f70d01010b0500
		0381810085aad2a0e5b9276b908c65f73a7267170618a54c5f8a7b337d2df7a594365417f2eae8
		f8a58c8f8172f9319cf36b7fd6c55b80f21a03015156726096fd335e5e67f2dbf102702e608cca
		e6bec1fc63a42a99be5c3eb7107c3c54e9b9eb2bd5203b1c3b84e0a8b2f759409ba3eac9d91d40
		2dcc0cc8f8961229ac9187b42b4de10000`
	rfcCertificateVerify = `0f000084080400805a747c5d88fa9bd2e55ab085a61015b7211f824cd484145ab3ff52
		f1fda8477b0b7abc90db78e2d33a5c141a078653fa6bef780c5ea248eeaaa785c4f394cab6d30b
		be8d4859ee511f602957b15411ac027671459e46445c9ea58c181e818e95b8c3fb0bf3278409d3
		be152a3da5043e063dda65cdf5aea20d53dfacd42f74f3`
	rfcServerFinished = "140000209b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718"
	rfcClientFinished = "14000020a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61"
	rfcServerFlight   = `17030302a2d1ff334a56f5bff6594a07cc87b580233f500f45e489e7f33af35edf7869fcf4
		0aa40aa2b8ea73f848a7ca07612ef9f945cb960b4068905123ea78b111b429ba9191cd05d2a389
		280f526134aadc7fc78c4b729df828b5ecf7b13bd9aefb0e57f271585b8ea9bb355c7c79020716
		cfb9b1183ef3ab20e37d57a6b9d7477609aee6e122a4cf51427325250c7d0e509289444c9b3a64
		8f1d71035d2ed65b0e3cdd0cbae8bf2d0b227812cbb360987255cc744110c453baa4fcd610928d
		809810e4b7ed1a8fd991f06aa6248204797e36a6a73b70a2559c09ead686945ba246ab66e5edd8
		044b4c6de3fcf2a89441ac66272fd8fb330ef8190579b3684596c960bd596eea520a56a8d650f5
		63aad27409960dca63d3e688611ea5e22f4415cf9538d51a200c27034272968a264ed6540c8483
		8d89f72c24461aad6d26f59ecaba9acbbb317b66d902f4f292a36ac1b639c637ce343117b65962
		2245317b49eeda0c6258f100d7d961ffb138647e92ea330faeea6dfa31c7a84dc3bd7e1b7a6c71
		78af36879018e3f252107f243d243dc7339d5684c8b0378bf30244da8c87c843f5e56eb4c5e828
		0a2b48052cf93b16499a66db7cca71e4599426f7d461e66f99882bd89fc50800becca62d6c7411
		6dbd2972fda1fa80f85df881edbe5a37668936b335583b599186dc5c6918a396fa48a181d6b6fa
		4f9d62d513afbb992f2b992f67f8afe67f76913fa388cb5630c8ca01e0c65d11c66a1e2ac4c859
		77b7c7a6999bbf10dc35ae69f5515614636c0b9b68c19ed2e31c0b3b66763038ebba42f3b38edc
		0399f3a9f23faa63978c317fc9fa66a73f60f0504de93b5b845e275592c12335ee340bbc4fddd5
		02784016e4b3be7ef04dda49f4b440a30cb5d2af939828fd4ae3794e44f94df5a631ede42c1719
		bfdabf0253fe5175be898e750edc53370d2b`
	rfcClientFlight = `170303003575ec4dc238cce60b298044a71e219c56cc77b0517fe9b93c7a4bfc44d87f
		38f80338ac98fc46deb384bd1caeacab6867d726c40546`
	rfcTicket = `040000c90000001efad6aac502000000b22c035d829359ee5ff7af4ec900000000262a6494dc
		486d2c8a34cb33fa90bf1b0070ad3c498883c9367c09a2be785abc55cd226097a3a982117283f8
		2a03a143efd3ff5dd36d64e861be7fd61d2827db279cce145077d454a3664d4e6da4d29ee03725
		a6a4dafcd0fc67d2aea70529513e3da2677fa5906c5b3f7d8f92f228bda40dda721470f9fbf297
		b5aea617646fac5c03272e970727c621a79141ef5f7de6505e5bfbc388e93343694093934ae4d3
		570008002a000400000400`
	rfcResumedHelloPrefix = `010001fc03031bc3ceb6bbe39cff938355b5a50adb6db21b7a6af649d7b4bc419d7876487d9500
		0006130113031302010001cd0000000b0009000006736572766572ff01000100000a0014001200
		1d00170018001901000101010201030104003300260024001d0020e4ffb68ac05f8d96c99da266
		98346c6be16482badddafe051a66b4f18d668f0b002a0000002b0003020304000d0020001e0403
		05030603020308040805080604010501060102010402050206020202002d00020101001c000240
		010015005700000000000000000000000000000000000000000000000000000000000000000000
		000000000000000000000000000000000000000000000000000000000000000000000000000000
		0000000000000000000000000000002900dd00b800b22c035d829359ee5ff7af4ec90000000026
		2a6494dc486d2c8a34cb33fa90bf1b0070ad3c498883c9367c09a2be785abc55cd226097a3a982
		117283f82a03a143efd3ff5dd36d64e861be7fd61d2827db279cce145077d454a3664d4e6da4d2
		9ee03725a6a4dafcd0fc67d2aea70529513e3da2677fa5906c5b3f7d8f92f228bda40dda721470
		f9fbf297b5aea617646fac5c03272e970727c621a79141ef5f7de6505e5bfbc388e93343694093
		934ae4d357fad6aacb`
	rfcBinder             = "3add4fb2d8fdf822a0ca3cf7678ef5e88dae990141c5924d57bb6fa31b9e5f9d"
	rfcResumedServerHello = `0200005c03033ccfd2dec890222763472ae8136777c9d7358777bb66e91ea5122495f5
		59ea2d00130100003400290002000000330024001d0020121761ee42c333e1b9e77b60dd57c205
		3cd94512ab47f115e86eff50942cea31002b00020304`
	rfcResumedEE             = "080000280026000a00140012001d00170018001901000101010201030104001c0002400100000000002a0000"
	rfcResumedServerFinished = "1400002048d3e0e1b3d907c6acff145e16090388c77b05c050b634ab1a88bbd0dd1a34b2"
	rfcEndOfEarlyData        = "05000000"
	rfcResumedClientFinished = "140000207230a9c952c25cd6138fc5e6628308c41c5335dd81b9f96bcea50fd32bda416d"
)

// A traceCheck compares secrets by the names of the RFC.
type traceCheck struct{ *testing.T }

func (c traceCheck) want(name string, got []byte, want string) {
	c.Helper()
	if !bytes.Equal(got, mustHex(c.T, want)) {
		c.Errorf("%s: got %x, want %s", name, got, want)
	}
}

func (c traceCheck) keys(name string, s *schedule, base *secret, key, iv string) {
	c.Helper()
	var k, v secret
	s.expandLabel(base[:32], "key", nil, k[:16])
	s.expandLabel(base[:32], "iv", nil, v[:12])
	c.want(name+" key", k[:16], key)
	c.want(name+" iv", v[:12], iv)
}

// RFC 8448, section 3: the whole key schedule of a full handshake, and what of
// section 4 follows from it: the PSK of the ticket, the binder, and the key
// schedule of a resumption.
func TestRFC8448Schedule(t *testing.T) {
	c := traceCheck{t}
	s := newSchedule(paramsAES128)
	var script transcript
	script.init(paramsAES128)
	add := func(msgs ...string) {
		for _, m := range msgs {
			script.add(mustHex(t, m))
		}
	}

	s.extractEarly(nil)
	c.want("early", s.current[:32], "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a")

	add(rfcClientHello, rfcServerHello)
	key, err := ecdh.X25519().NewPrivateKey(mustHex(t, rfcServerKey))
	if err != nil {
		t.Fatal(err)
	}
	var ch clientHello
	if err := ch.decode(mustHex(t, rfcClientHello)[4:]); err != nil {
		t.Fatal(err)
	}
	peer, err := ecdh.X25519().NewPublicKey(ch.ext.share(X25519))
	if err != nil {
		t.Fatal(err)
	}
	shared, err := key.ECDH(peer)
	if err != nil {
		t.Fatal(err)
	}
	c.want("shared", shared, "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d")
	s.extract(shared)
	c.want("handshake", s.current[:32], "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac")
	chs, shs := s.derive("c hs traffic", script.sum()), s.derive("s hs traffic", script.sum())
	c.want("c hs traffic", chs[:32], "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21")
	c.want("s hs traffic", shs[:32], "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
	c.keys("s hs", s, &shs, "3fce516009c21727d0f2e4e86ee403bc", "5d313eb2671276ee13000b30")
	c.keys("c hs", s, &chs, "dbfaa693d1762c5b666af5d950258d01", "5bd3c71b836e0b76bb73265f")
	s.extract(nil)
	c.want("master", s.current[:32], "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919")

	add(rfcEncryptedExtensions, rfcCertificate, rfcCertificateVerify)
	if !s.verifyFinished(&shs, script.sum(), mustHex(t, rfcServerFinished)[4:]) {
		t.Error("server Finished")
	}
	add(rfcServerFinished)
	cats, sats, exp := s.derive("c ap traffic", script.sum()), s.derive("s ap traffic", script.sum()), s.derive("exp master", script.sum())
	c.want("c ap traffic", cats[:32], "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
	c.want("s ap traffic", sats[:32], "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
	c.want("exp master", exp[:32], "fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50")
	c.keys("s ap", s, &sats, "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984")
	c.keys("c ap", s, &cats, "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9")
	if !s.verifyFinished(&chs, script.sum(), mustHex(t, rfcClientFinished)[4:]) {
		t.Error("client Finished")
	}
	add(rfcClientFinished)
	res := s.derive("res master", script.sum())
	c.want("res master", res[:32], "7df235f2031d2a051287d02b0241b0bfdaf86cc856231f2d5aba46c434ec196c")

	var nst newSessionTicket
	if err := nst.decode(mustHex(t, rfcTicket)[4:]); err != nil {
		t.Fatal(err)
	}
	var psk secret
	s.expandLabel(res[:32], "resumption", nst.nonce, psk[:32])
	c.want("resumption", psk[:32], "4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3")

	// Section 4.
	s.extractEarly(psk[:32])
	c.want("early", s.current[:32], "9b2188e9b2fc6d64d71dc329900e20bb41915000f678aa839cbb797cb7d8332c")
	binderKey := s.binderKey()
	c.want("res binder", binderKey[:32], "69fe131a3bbad5d63c64eebcc30e395b9d8107726a13d074e389dbc8a4e47256")
	script.init(paramsAES128)
	add(rfcResumedHelloPrefix)
	binder := s.finished(&binderKey, script.sum())
	c.want("binder", binder[:32], rfcBinder)
	add("002120"+rfcBinder, rfcResumedServerHello)
	early := s.current
	s.extract(mustHex(t, "f44194756ff9ec9d25180635d66ea6824c6ab3bf179977be37f723570e7ccb2e"))
	c.want("handshake", s.current[:32], "005cb112fd8eb4ccc623bb88a07c64b3ede1605363fc7d0df8c7ce4ff0fb4ae6")
	chs, shs = s.derive("c hs traffic", script.sum()), s.derive("s hs traffic", script.sum())
	c.want("c hs traffic", chs[:32], "2faac08f851d35fea3604fcb4de82dc62c9b164a70974d0462e27f1ab278700f")
	c.want("s hs traffic", shs[:32], "fe927ae271312e8bf0275b581c54eef020450dc4ecffaa05a1a35d27518e7803")
	s.extract(nil)
	c.want("master", s.current[:32], "e2d32d4ed66dd37897a0e80c84107503ce58bf8aad4cb55a5002d77ecb890ece")
	add(rfcResumedEE)
	if !s.verifyFinished(&shs, script.sum(), mustHex(t, rfcResumedServerFinished)[4:]) {
		t.Error("server Finished of the resumption")
	}
	add(rfcResumedServerFinished)
	cats, sats, exp = s.derive("c ap traffic", script.sum()), s.derive("s ap traffic", script.sum()), s.derive("exp master", script.sum())
	c.want("c ap traffic", cats[:32], "2abbf2b8e381d23dbebe1dd2a7d16a8bf484cb4950d23fb7fb7fa8547062d9a1")
	c.want("s ap traffic", sats[:32], "cc21f1bf8feb7dd5fa505bd9c4b468a9984d554a993dc49e6d285598fb672691")
	c.want("exp master", exp[:32], "3fd93d4ffddc98e64b14dd107aedf8ee4add23f4510f58a4592d0b201bee56b4")
	add(rfcEndOfEarlyData)
	if !s.verifyFinished(&chs, script.sum(), mustHex(t, rfcResumedClientFinished)[4:]) {
		t.Error("client Finished of the resumption")
	}
	add(rfcResumedClientFinished)
	res = s.derive("res master", script.sum())
	c.want("res master", res[:32], "5e95bdf1f89005ea2e9aa0ba85e728e3c19c5fe0c699e3f5bee59faebd0b5406")
	if early == s.current {
		t.Error("extract changed nothing")
	}
}

// RFC 8448, section 5: the secrets after a HelloRetryRequest.
func TestRFC8448Retried(t *testing.T) {
	c := traceCheck{t}
	s := newSchedule(paramsAES128)
	copy(s.current[:], mustHex(t, "1131545d0baf79ddce9b87f06945781a57dd18ef378dcd2060f8f9a569027ed8"))
	h := mustHex(t, "50f63cbf36b0dd049e7a0ba27d6455745ea2aaac54bb167f9950b2b7ce9509da")
	cats, exp := s.derive("c ap traffic", h), s.derive("exp master", h)
	c.want("c ap traffic", cats[:32], "75ecf4b972525aa0dcd057c9944d4cd5d82671d8843141d7dc2a4ff15a21dc51")
	c.want("exp master", exp[:32], "7c06d3ae106a3a374ace4837b3985cac67780a6e2c5c04b58319d584df09d223")
	c.keys("c ap", s, &cats, "a7eb2a0525eb4331d58fcbf9f7ca2e9c", "86e8be227c1bd2b3e39cb444")
	res := s.derive("res master", mustHex(t, "0e8b349158b855fdcd0c11dbbc4e83e43caa6e483c6c65df53151888e50165f4"))
	c.want("res master", res[:32], "09170c6d472721566f9cf99b08699daff561ec8fb22d5a32c3f94ce009b69975")
}

// Our HMAC and HKDF on one hash state are those of the standard library.
func TestScheduleAgainstStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, p := range []*suiteParams{paramsAES128, paramsAES256} {
		s := newSchedule(p)
		for range 200 {
			key, msg := randBytes(r, 0, s.hash.BlockSize()), randBytes(r, 0, 300)
			got := s.hmac(key, msg)
			h := hmac.New(p.newHash, key)
			h.Write(msg)
			if want := h.Sum(nil); !bytes.Equal(got, want) {
				t.Fatalf("HMAC %x, want %x", got, want)
			}

			prk, label, ctx := randBytes(r, p.hashLen, p.hashLen), string(randBytes(r, 0, 200)), randBytes(r, 0, 255)
			out := make([]byte, r.IntN(500))
			s.expandLabel(prk, label, ctx, out)
			info := putVec8(put16(nil, uint16(len(out))), []byte("tls13 "+label))
			want, err := hkdf.Expand(p.newHash, prk, string(putVec8(info, ctx)), len(out))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out, want) {
				t.Fatalf("HKDF-Expand-Label of %d octets: %x, want %x", len(out), out, want)
			}

			copy(s.current[:], prk)
			salt, _ := hkdf.Expand(p.newHash, prk, string(putVec8(putVec8(put16(nil, uint16(p.hashLen)), []byte("tls13 derived")), s.empty[:p.hashLen])), p.hashLen)
			ikm := randBytes(r, 32, 100)
			s.extract(ikm)
			want, _ = hkdf.Extract(p.newHash, ikm, salt)
			if !bytes.Equal(s.current[:p.hashLen], want) {
				t.Fatalf("HKDF-Extract %x, want %x", s.current[:p.hashLen], want)
			}
		}
	}
}

func TestScheduleDoesNotAllocate(t *testing.T) {
	s := newSchedule(paramsAES128)
	var base, out secret
	shared := make([]byte, 32)
	if n := testing.AllocsPerRun(100, func() {
		s.extractEarly(nil)
		s.extract(shared)
		out = s.derive("c hs traffic", base[:32])
		out = s.finished(&out, base[:32])
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestHelloRetryValue(t *testing.T) {
	if sha256.Sum256([]byte("HelloRetryRequest")) != helloRetry {
		t.Error("the magic random value is wrong")
	}
}
