package main

import (
	"slices"
	"strings"
	"time"

	"github.com/meridian-federation/meridian/internal/record"
)

// change is a change of an application that the hub was given: its clusters should have the round, or a later one.
type change struct {
	application *application
	round       int
	// at is the moment from which the way to a cluster counts.
	at time.Time
}

// deploymentKey is the beginning of the record keys of Deployments.
const deploymentKey = "apps/v1/Deployment/" + namespace + "/"

// deploymentName reads an application's name from the key of its Deployment.
func deploymentName(key record.Key) (string, bool) { return strings.CutPrefix(key.Name, deploymentKey) }

// staleness is how long each change took to each of the clusters that it is for, and how many of these were never seen to
// have it. What arrives before that moment took no time.
func staleness(changes []change, arrivals []arrival, clusters func(*application) int) (took []time.Duration, missing int) {
	byName := map[string][]arrival{}
	for _, a := range arrivals {
		byName[a.application] = append(byName[a.application], a)
	}
	for _, list := range byName {
		slices.SortStableFunc(list, func(a, b arrival) int { return a.at.Compare(b.at) })
	}
	for _, c := range changes {
		seen := map[string]bool{}
		for _, a := range byName[c.application.name] {
			if a.round >= c.round && !seen[a.cluster] {
				seen[a.cluster] = true
				took = append(took, max(a.at.Sub(c.at), 0))
			}
		}
		missing += max(clusters(c.application)-len(seen), 0)
	}
	return took, missing
}
