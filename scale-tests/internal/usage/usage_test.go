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

func TestParseMemory(t *testing.T) {
	status := []byte("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1024 kB\n")
	for field, want := range map[string]int64{"VmHWM": 2048 << 10, "VmRSS": 1024 << 10} {
		if got, err := parseMemory(status, field); err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d", field, got, err, want)
		}
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

func TestMeterKeepsWhatRetiredProcessesUsed(t *testing.T) {
	m := NewMeter()
	m.Add("self", os.Getpid())
	for begun := time.Now(); time.Since(begun) < 30*time.Millisecond; {
	}
	if err := m.Retire("self"); err != nil {
		t.Fatal(err)
	}
	before, err := m.CPU()
	if err != nil || before["self"] <= 0 {
		t.Fatalf("after its end: got %v, %v; want more than 0", before, err)
	}
	m.Add("self", os.Getpid())
	after, err := m.CPU()
	if err != nil || after["self"] < 2*before["self"] {
		t.Errorf("with a successor: got %v, %v; want at least %v", after, err, 2*before["self"])
	}
}
