package az

import "time"

// WithSlack has the clusters of a replica that has gone count for longer as they did.
func (c Config) WithSlack(d time.Duration) Config {
	c.slack = d
	return c
}
