package collect

import (
	"errors"
	"fmt"
	"testing"
)

func TestProblems(t *testing.T) {
	lie := fmt.Errorf("wrapped: %w", &ValueError{"b", -1})
	one := join(nil, errors.New("a"))
	all := join(join(join(one, lie), nil), errors.New("c"))
	if text := all.Error(); text != "a; wrapped: b: -1 is negative; c" {
		t.Error(text)
	}
	if !refused(all) || refused(one) || refused(nil) {
		t.Error("a lie among other problems must be found, and only that")
	}
}
