package clusteragent

import "testing"

// TestConfig names each field that is wrong.
func TestConfig(t *testing.T) {
	var c Config
	c.Default()
	if err := c.Validate(); err == nil {
		t.Error("Validate of the zero value = nil, want the missing names")
	}
	c.Region, c.Zone, c.Cluster = "r", "z", "c"
	c.Default()
	if err := c.Validate(); err != nil {
		t.Errorf("Validate = %v, want nil", err)
	}
	c.Workers, c.ZoneAddresses = -1, []string{"nowhere"}
	if err := c.Validate(); err == nil {
		t.Error("Validate = nil, want errors")
	}
}
