package mesh

// destinationRule has callers go to the nearest first.
func (c *callee) destinationRule() Object {
	return c.draft(groupNetworking, "v1", "DestinationRule", c.service.Application, fields{
		{"host", hostOf(c.service.Namespace, c.service.Application)},
		{"exportTo", c.exportTo},
		{"trafficPolicy", nearestFirst()},
	}).seal()
}

// nearestFirst has callers stay in their own locality while that answers. Failover by locality works only with outlier
// detection. What is counted is that an endpoint cannot be reached or says itself that it cannot serve (502 to 504), not
// that it answers 500: that can be the caller's doing, and would take one good endpoint after another away. All may be
// ejected, since only then does everything go to the next locality.
func nearestFirst() fields {
	return fields{
		{"loadBalancer", fields{{"localityLbSetting", fields{{"enabled", true}}}}},
		{"outlierDetection", fields{
			{"consecutive5xxErrors", 0},
			{"consecutiveGatewayErrors", 5},
			{"interval", "10s"},
			{"baseEjectionTime", "30s"},
			{"maxEjectionPercent", 100},
		}},
	}
}
