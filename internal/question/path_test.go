package question

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestPath(t *testing.T) {
	tests := []struct {
		text  string
		path  Path
		tier  Tier
		bad   bool
		steps map[Tier]string
	}{
		{text: "global", tier: TierGlobal},
		{text: "region/west", path: Path{Region: "west"}, tier: TierRegion, steps: map[Tier]string{TierGlobal: "west"}},
		{
			text: "region/west/zone/west-a", path: Path{"west", "west-a", ""}, tier: TierZone,
			steps: map[Tier]string{TierGlobal: "west", TierRegion: "west-a"},
		},
		{
			text: "region/west/zone/west-a/cluster/west-a-1", path: Path{"west", "west-a", "west-a-1"}, tier: TierCluster,
			steps: map[Tier]string{TierGlobal: "west", TierRegion: "west-a", TierZone: "west-a-1"},
		},
		{text: "", bad: true},
		{text: "west", bad: true},
		{text: "region", bad: true},
		{text: "region/", bad: true},
		{text: "zone/west-a", bad: true},
		{text: "region/west/cluster/a", bad: true},
		{text: "region/west/zone/a/cluster/b/more", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			got, err := ParsePath(tt.text)
			if tt.bad {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("ParsePath: got %v, %v; want ErrInvalid", got, err)
				}
				return
			}
			if err != nil || got != tt.path || got.String() != tt.text || got.Tier() != tt.tier {
				t.Errorf("ParsePath: got %+v %q %s, %v; want %+v %q %s", got, got, got.Tier(), err, tt.path, tt.text, tt.tier)
			}
			for _, at := range []Tier{TierGlobal, TierRegion, TierZone, TierCluster} {
				name, below := got.Child(at)
				if want, ok := tt.steps[at]; name != want || below != ok {
					t.Errorf("Child(%s): got %q %t, want %q %t", at, name, below, want, ok)
				}
			}
		})
	}
}

func TestConfirmRequestJSON(t *testing.T) {
	want := `{"target":"region/west","what":"floor"}`
	b, err := json.Marshal(ConfirmRequest{Target: Path{Region: "west"}, What: WhatFloor})
	if err != nil || string(b) != want {
		t.Fatalf("got %s, %v; want %s", b, err, want)
	}
	got, err := Decode[ConfirmRequest](b)
	if err != nil || got.Target.Region != "west" || got.Validate() != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Decode[ConfirmRequest]([]byte(`{"target":"zone/x"}`)); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad target: got %v, want ErrInvalid", err)
	}
	if err := (ConfirmRequest{What: "all"}).Validate(); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad what: got %v, want ErrInvalid", err)
	}
}

func TestPathContains(t *testing.T) {
	zone := Path{Region: "west", Zone: "a"}
	for _, tt := range []struct {
		name  string
		p     Path
		other Path
		want  bool
	}{
		{"itself", zone, zone, true},
		{"Global contains all", Path{}, Path{Region: "west", Zone: "a", Cluster: "1"}, true},
		{"a zone's cluster", zone, Path{Region: "west", Zone: "a", Cluster: "1"}, true},
		{"its region", zone, Path{Region: "west"}, false},
		{"a zone whose name begins so", zone, Path{Region: "west", Zone: "a1"}, false},
		{"the same zone's name elsewhere", zone, Path{Region: "east", Zone: "a"}, false},
	} {
		if got := tt.p.Contains(tt.other); got != tt.want {
			t.Errorf("%s: %s contains %s: got %t, want %t", tt.name, tt.p, tt.other, got, tt.want)
		}
	}
	if parent, ok := (Path{Region: "west", Zone: "a"}).Parent(); !ok || parent != (Path{Region: "west"}) {
		t.Errorf("Parent: got %s, %t, want region/west", parent, ok)
	}
	if _, ok := (Path{}).Parent(); ok {
		t.Error("Global has a parent")
	}
}
