package plot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/meridian-federation/meridian/scale-tests/internal/plot"
)

func TestCDF(t *testing.T) {
	got := plot.CDF([]float64{3, 1, 2, 2})
	want := []plot.Point{{X: 1, Y: 0.25}, {X: 2, Y: 0.5}, {X: 2, Y: 0.75}, {X: 3, Y: 1}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCDFOfManyIsThinned(t *testing.T) {
	values := make([]float64, 100_001)
	for i := range values {
		values[len(values)-1-i] = float64(i)
	}
	got := plot.CDF(values)
	if len(got) < 200 || len(got) > 400 {
		t.Errorf("got %d points, want about as many as a picture has pixels", len(got))
	}
	if last := got[len(got)-1]; last != (plot.Point{X: 100_000, Y: 1}) {
		t.Errorf("got the last point %v, want the largest value", last)
	}
	for _, p := range got {
		if part := (p.X + 1) / float64(len(values)); p.Y != part {
			t.Fatalf("got %v at %v, want %v", p.Y, p.X, part)
		}
	}
}

func TestPicturesAreWellFormed(t *testing.T) {
	for name, picture := range map[string]string{
		"line":      plot.Lines(plot.Axes{Title: "a < b", X: "x", Y: "y"}, plot.Series{Name: "s & t", Points: []plot.Point{{X: 0, Y: 1}, {X: 5, Y: 2}}}),
		"log":       plot.Lines(plot.Axes{LogX: true}, plot.Series{Points: []plot.Point{{X: 0, Y: 0.1}, {X: 250, Y: 1}}}),
		"no points": plot.Lines(plot.Axes{LogX: true}, plot.Series{Name: "s"}),
		"one point": plot.Lines(plot.Axes{}, plot.Series{Name: "s", Points: []plot.Point{{}}}),
		"bars":      plot.Bars(plot.Axes{}, []string{"a", "b"}, []plot.Group{{Name: "g", Bars: []float64{1, 3e9}}, {Name: "h", Bars: []float64{0, 20}}}),
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
				t.Errorf("there are points that are no numbers:\n%s", picture)
			}
			d := xml.NewDecoder(strings.NewReader(picture))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					return
				} else if err != nil {
					t.Fatalf("reading the picture: %v\n%s", err, picture)
				}
			}
		})
	}
}
