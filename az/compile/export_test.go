package compile

// Kept counts the outputs that are remembered of all specs.
func (c *Compiler) Kept() int {
	n := 0
	for _, s := range c.specs {
		n += len(s.made) + len(s.wanted)
	}
	return n
}
