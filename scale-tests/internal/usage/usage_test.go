package usage

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	stat := "812 (a ) (b) S 1 812 812 0 -1 4194560 1000 0 3 0 250 31 7 8 20 0 12 0 100 200 300"
	got, err := parseStat([]byte(stat))
	if want := 2810 * time.Millisecond; err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestParsePeak(t *testing.T) {
	got, err := parsePeak([]byte("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1024 kB\n"))
	if want := int64(2048 << 10); err != nil || got != want {
		t.Errorf("got %d, %v; want %d", got, err, want)
	}
}

func TestMeterCountsThisProcess(t *testing.T) {
	m := NewMeter()
	m.Add("self", os.Getpid())
	before, err := m.CPU()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		now, err := m.CPU()
		if err != nil {
			t.Fatal(err)
		}
		if now.Since(before)["self"] > 0 {
			break
		}
	}
	peak, err := m.PeakRSS()
	if err != nil || peak["self"] <= 0 {
		t.Errorf("peak memory: got %d, %v; want more than 0", peak["self"], err)
	}
	if time.Now().After(deadline) {
		t.Error("a busy process used no CPU in a minute")
	}
}

func TestMeterNamesWhatIsGone(t *testing.T) {
	m := NewMeter()
	m.Add("gone", 1<<30)
	if _, err := m.CPU(); err == nil {
		t.Error("got no error for a process that does not exist")
	}
}

func TestParseMachine(t *testing.T) {
	got, err := parseMachine("cpu  100 2 30 4000 500 6 7 80 9 9\ncpu0 1 2 3\n")
	if want := 2250 * time.Millisecond; err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
