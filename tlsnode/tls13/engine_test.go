package tls13

import "testing"

func TestHandshake(t *testing.T) {
	p := newPair(t, clientConfig(), serverConfig()).wantConnected()
	p.wantEcho()
}
