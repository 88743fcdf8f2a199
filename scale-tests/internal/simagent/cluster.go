package simagent

import (
	"bytes"
	"maps"
	"sync"
	"time"

	"github.com/meridian-federation/meridian/internal/feed"
	"github.com/meridian-federation/meridian/internal/object"
	"github.com/meridian-federation/meridian/internal/record"
)

// Write is one write to a cluster.
type Write struct {
	Cluster string
	Key     record.Key
	// Version is zero for a removal.
	Version record.Version
	// Before is the version that the cluster had; zero is none.
	Before record.Version
	// Round is that of a Deployment's image; -1 where there is none.
	Round int
	Fence feed.Fence
	At    time.Time
}

// cluster is the objects of one cluster.
type cluster struct {
	name  string
	wrote func(Write)

	mu      sync.Mutex // guards objects
	objects map[record.Key]record.Version
}

func newCluster(name string, wrote func(Write)) *cluster {
	if wrote == nil {
		wrote = func(Write) {}
	}
	return &cluster{name: name, wrote: wrote, objects: map[record.Key]record.Version{}}
}

func (c *cluster) put(r record.Record, fence feed.Fence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.objects[r.Key]
	c.objects[r.Key] = r.Version
	c.wrote(Write{Cluster: c.name, Key: r.Key, Version: r.Version, Before: before, Round: roundOf(r), Fence: fence,
		At: time.Now()})
}

func (c *cluster) remove(key record.Key, fence feed.Fence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.objects[key]
	delete(c.objects, key)
	c.wrote(Write{Cluster: c.name, Key: key, Before: before, Round: -1, Fence: fence, At: time.Now()})
}

func (c *cluster) has(key record.Key, version record.Version) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[key] == version
}

func (c *cluster) versions() map[record.Key]record.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.objects)
}

// deployment reads a Deployment's key.
func deployment(key record.Key) (namespace, name string, ok bool) {
	id, err := object.FromKey(key)
	if err != nil || id.Kind != "Deployment" {
		return "", "", false
	}
	return id.Namespace, id.Name, true
}

// roundOf reads the round of a Deployment, -1 of anything else.
func roundOf(r record.Record) int {
	if _, _, ok := deployment(r.Key); !ok {
		return -1
	}
	_, rest, ok := bytes.Cut(r.Content, []byte(`"image":"`))
	if !ok {
		return -1
	}
	image, _, _ := bytes.Cut(rest, []byte(`"`))
	return number(image, ":")
}

// number reads the digits that follow the last occurrence of a mark; -1 where there are none.
func number(text []byte, mark string) int {
	i := bytes.LastIndex(text, []byte(mark))
	if i < 0 {
		return -1
	}
	n, digits := 0, 0
	for _, c := range text[i+len(mark):] {
		if c < '0' || c > '9' {
			break
		}
		n, digits = 10*n+int(c-'0'), digits+1
	}
	if digits == 0 {
		return -1
	}
	return n
}
