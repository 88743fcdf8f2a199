package gossip

import (
	"context"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// followKeys uses the keys in the key file whenever it changes, until ctx ends. A file that cannot be read or holds a bad
// key changes nothing. It watches the file's directory, because files are replaced by renaming, and those of a Kubernetes
// Secret by renaming a symbolic link beside them.
func (g *Gossip) followKeys(ctx context.Context) {
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		err = watcher.Add(filepath.Dir(g.keyFile))
	}
	if err != nil {
		g.log.Warn("the key file cannot be watched; its changes wait for a restart", "file", g.keyFile, "error", err)
		return
	}
	target, _ := filepath.EvalSymlinks(g.keyFile) // empty while there is none
	g.takeKeys()                                  // it may have changed since New
	for {
		select {
		case event := <-watcher.Events:
			now, _ := filepath.EvalSymlinks(g.keyFile)
			if now == target && (event.Op == fsnotify.Chmod || filepath.Clean(event.Name) != filepath.Clean(g.keyFile)) {
				continue
			}
			target = now
			g.takeKeys()
		case err := <-watcher.Errors:
			g.log.Warn("watching the key file", "file", g.keyFile, "error", err)
			g.takeKeys() // events may have been lost
		case <-ctx.Done():
			return
		}
	}
}

// takeKeys uses what the key file holds.
func (g *Gossip) takeKeys() {
	keys, err := readKeys(g.keyFile)
	if err == nil && g.ring.equal(keys) {
		return
	}
	if err == nil {
		err = g.ring.use(keys)
	}
	if err != nil {
		g.log.Warn("the key file is of no use; the keys stay as they are", "file", g.keyFile, "error", err)
		return
	}
	g.log.Info("keys replaced", "file", g.keyFile, "keys", len(keys))
}
