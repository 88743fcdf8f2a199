package main

import (
	"testing"
	"time"
)

func TestMemoryIsJudged(t *testing.T) {
	at := func(minute float64, mb float64) memoryReading {
		return memoryReading{time.Duration(minute * float64(time.Minute)), map[string]float64{tierGlobal: mb / 2, tierZones: mb / 2, tierAgents: 1e6}}
	}
	for name, c := range map[string]struct {
		memory       []memoryReading
		second, last float64
		bounded      bool
	}{
		"steady":                      {[]memoryReading{at(0.5, 50), at(1.5, 100), at(4.5, 105)}, 100, 105, true},
		"grows":                       {[]memoryReading{at(1.2, 90), at(1.7, 110), at(4.2, 120), at(4.8, 130)}, 100, 125, false},
		"only its ends are looked at": {[]memoryReading{at(0, 10), at(1.5, 100), at(3, 500), at(4.5, 100)}, 100, 100, true},
	} {
		f := churnFigures{memory: c.memory}
		f.judge(5 * time.Minute)
		if f.SecondMinute != c.second || f.LastMinute != c.last || f.Bounded != c.bounded {
			t.Errorf("%s: got %v, %v, %t; want %v, %v, %t", name, f.SecondMinute, f.LastMinute, f.Bounded, c.second, c.last, c.bounded)
		}
	}
}
