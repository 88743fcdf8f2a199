//go:build unix && !linux

package process

func holderOf(string) string { return "" }
