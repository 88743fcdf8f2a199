package global

import (
	"fmt"
	"testing"
	"time"
)

// TestPace shows that progress of a few is due together, and that of many one after another.
func TestPace(t *testing.T) {
	p, now := newPace(), time.Now()
	apps := make([]target, 3*progressBursts)
	for i := range apps {
		apps[i] = target{"applications", "n", fmt.Sprint(i)}
		if got := p.wait(apps[i], now); got != progressAfter {
			t.Errorf("application %d is due in %v at first, want %v", i, got, progressAfter)
		}
	}
	now = now.Add(progressAfter)
	for i, app := range apps {
		want := max(0, time.Duration(i-progressBursts+1)*time.Second/progressRate)
		if got := p.wait(app, now); got.Round(time.Millisecond) != want {
			t.Errorf("application %d is due in %v, want %v", i, got, want)
		}
		if got := p.wait(app, now.Add(want)); got.Round(time.Millisecond) != 0 {
			t.Errorf("application %d is due in %v when its time has come", i, got)
		}
	}
	for _, app := range apps {
		p.done(app)
	}
	if len(p.due) != 0 {
		t.Errorf("%d applications still wait", len(p.due))
	}
}

// TestPaceForgets shows that what is over before it was due delays nothing else.
func TestPaceForgets(t *testing.T) {
	p, now := newPace(), time.Now()
	for i := range 1000 {
		app := target{"applications", "n", fmt.Sprint(i)}
		p.wait(app, now)
		p.done(app)
	}
	last := target{"applications", "n", "last"}
	if got := p.wait(last, now); got != progressAfter {
		t.Errorf("progress is due in %v, want %v", got, progressAfter)
	}
	if got := p.wait(last, now.Add(progressAfter)); got > 0 {
		t.Errorf("progress is due in %v after %v, want it to be due", got, progressAfter)
	}
}

// TestPaceIsBounded has more wait than can be served within progressPatience: they ask again, and the line is as long as
// it may be, no longer.
func TestPaceIsBounded(t *testing.T) {
	p, now := newPace(), time.Now()
	const served = progressBursts + int(progressPatience/time.Second)*progressRate
	for i := range 10 * served {
		p.wait(target{"applications", "n", fmt.Sprint(i)}, now)
	}
	now = now.Add(progressAfter)
	reserved := 0
	for app := range p.due {
		if got := p.wait(app, now); got > progressPatience {
			t.Errorf("%s is due in %v, want at most %v", app.name, got, progressPatience)
		}
		if p.due[app].reserved {
			reserved++
		}
	}
	if reserved != served {
		t.Errorf("%d have a turn, want %d", reserved, served)
	}
}
