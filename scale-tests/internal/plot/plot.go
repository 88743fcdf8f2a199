// Package plot draws what the harnesses measured as SVG. They import it.
package plot

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The size of a picture and its margins, in pixels.
const (
	width, height            = 720, 400
	left, right, top, bottom = 80, 170, 40, 50
)

// palette gives each series its colour.
var palette = [...]string{"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f"}

// Point is one point of a line.
type Point struct{ X, Y float64 }

// Series is a line with its name.
type Series struct {
	Name   string
	Points []Point
}

// Axes say what is drawn.
type Axes struct {
	Title, X, Y string
	// LogX has powers of ten at equal distances; points at or below 0 are drawn at the left.
	LogX bool
}

// cdfPoints is the most that CDF draws: one for each pixel of height.
const cdfPoints = height - top - bottom

// CDF is the distribution of values: for each, which part of all is not above it. Of very many values only some are
// among the points, the last always is.
func CDF(values []float64) []Point {
	sorted := slices.Sorted(slices.Values(values))
	points := make([]Point, min(len(sorted), cdfPoints))
	for i := range points {
		rank := (i + 1) * len(sorted) / len(points)
		points[i] = Point{sorted[rank-1], float64(rank) / float64(len(sorted))}
	}
	return points
}

// Lines draws series.
func Lines(axes Axes, series ...Series) string {
	x, y := reach{least: math.Inf(1)}, reach{}
	for _, s := range series {
		for _, p := range s.Points {
			x.take(p.X, axes.LogX)
			y.take(p.Y, false)
		}
	}
	x.finish(axes.LogX)
	y.finish(false)
	var b strings.Builder
	frame(&b, axes, x, y)
	for i, s := range series {
		colour := palette[i%len(palette)]
		b.WriteString(`<polyline fill="none" stroke-width="1.5" stroke="` + colour + `" points="`)
		for _, p := range s.Points {
			fmt.Fprintf(&b, "%.1f,%.1f ", x.at(p.X, left, width-right), y.at(p.Y, height-bottom, top))
		}
		b.WriteString("\"/>\n")
		legend(&b, i, colour, s.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// Group is bars side by side under one name.
type Group struct {
	Name string
	Bars []float64
}

// Bars draws groups of bars, the bars of all named alike, on a logarithmic scale.
func Bars(axes Axes, names []string, groups []Group) string {
	y := reach{least: math.Inf(1)}
	for _, g := range groups {
		for _, v := range g.Bars {
			y.take(v, true)
		}
	}
	y.finish(true)
	var b strings.Builder
	frame(&b, axes, reach{hidden: true, most: 1}, y)
	slot := float64(width-left-right) / float64(len(groups))
	bar := slot * 0.8 / float64(len(names))
	for g, group := range groups {
		x := left + slot*(float64(g)+0.1)
		for i, v := range group.Bars {
			at := y.at(v, height-bottom, top)
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x+bar*float64(i), at, bar,
				height-bottom-at, palette[i%len(palette)])
		}
		text(&b, x+slot*0.4, height-bottom+18, "middle", group.Name)
	}
	for i, name := range names {
		legend(&b, i, palette[i%len(palette)], name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// reach is what an axis shows.
type reach struct {
	least, most float64
	log, hidden bool
}

func (r *reach) take(v float64, log bool) {
	if log && v <= 0 {
		return
	}
	r.least, r.most = min(r.least, v), max(r.most, v)
}

// finish rounds a logarithmic axis to whole powers of ten.
func (r *reach) finish(log bool) {
	if r.log = log; log {
		if math.IsInf(r.least, 1) {
			r.least, r.most = 1, 10
		}
		r.least, r.most = math.Pow(10, math.Floor(math.Log10(r.least))), math.Pow(10, math.Ceil(math.Log10(r.most)))
	}
	if math.IsInf(r.least, 1) {
		r.least = 0
	}
	if r.most <= r.least {
		r.most = r.least + 1
		if r.log {
			r.most = r.least * 10
		}
	}
}

// at is where a value lies between two ends.
func (r reach) at(v, from, to float64) float64 {
	least, most := r.least, r.most
	if r.log {
		v, least, most = math.Log10(max(v, least)), math.Log10(least), math.Log10(most)
	}
	return from + (to-from)*(v-least)/(most-least)
}

// ticks are the values that are named.
func (r reach) ticks() []float64 {
	var out []float64
	if r.log {
		for v := r.least; v <= r.most*1.001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	for i := range 6 {
		out = append(out, r.least+(r.most-r.least)*float64(i)/5)
	}
	return out
}

func frame(b *strings.Builder, axes Axes, x, y reach) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">`+"\n", width, height)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	text(b, left, top-16, "start", axes.Title)
	text(b, (left+width-right)/2, height-8, "middle", axes.X)
	fmt.Fprintf(b, `<text transform="translate(14,%d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, html.EscapeString(axes.Y))
	if !x.hidden {
		for _, v := range x.ticks() {
			at := x.at(v, left, width-right)
			fmt.Fprintf(b, `<path d="M%.1f %dV%d" stroke="#ddd"/>`+"\n", at, top, height-bottom)
			text(b, at, height-bottom+18, "middle", number(v))
		}
	}
	for _, v := range y.ticks() {
		at := y.at(v, height-bottom, top)
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ddd"/>`+"\n", left, at, width-right)
		text(b, left-6, at+4, "end", number(v))
	}
}

func legend(b *strings.Builder, i int, colour, name string) {
	at := float64(top + 16*i)
	fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="10" height="10" fill="%s"/>`+"\n", width-right+12, at, colour)
	text(b, width-right+28, at+9, "start", name)
}

func text(b *strings.Builder, x, y float64, anchor, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
}

// number writes a value with three digits and a unit's letter.
func number(v float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if math.Abs(v) >= u.of {
			return fmt.Sprintf("%.3g%s", v/u.of, u.name)
		}
	}
	return fmt.Sprintf("%.3g", v)
}
