package egress

import (
	"math"
	"testing"
	"time"

	"github.com/catsbgp/catsbgp/advert"
	"github.com/catsbgp/catsbgp/internal/collect"
)

func TestAverage(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	var a average
	step := func(x float64, source advert.Source) float64 {
		now = now.Add(time.Second)
		v := collect.Value{Value: x, Source: source}
		a.smooth(now, &v, 10*time.Second)
		return v.Value
	}
	if got := step(100, advert.SourceMeasured); got != 100 {
		t.Errorf("the first value is %v, want it as it is", got)
	}
	for range 50 {
		if got := step(130, advert.SourceMeasured); got > 104 {
			t.Fatalf("one odd sample moves it to %v", got)
		}
		step(70, advert.SourceMeasured)
	}
	for range 30 {
		step(200, advert.SourceMeasured)
	}
	if got := step(200, advert.SourceMeasured); math.Abs(got-200) > 10 {
		t.Errorf("half a minute at 200 gives %v", got)
	}
	if got := step(50, advert.SourceNominal); got != 50 {
		t.Errorf("a configured value becomes %v", got)
	}
	if got := step(300, advert.SourceMeasured); got != 300 {
		t.Errorf("measured again, it begins with %v", got)
	}
	now = now.Add(-time.Hour)
	if got := step(80, advert.SourceMeasured); got != 80 {
		t.Errorf("after the clock went back: %v", got)
	}
}
