package crds_test

import (
	"fmt"
	"strings"
	"testing"
)

// pool writes an IPPool with all that is required but ranges, and spec besides.
func pool(ranges, spec string) string {
	family := "IPv4"
	if strings.Contains(ranges, "::") {
		family = "IPv6"
	}
	return inventory("IPPool", "p", fmt.Sprintf("family: %s\npurpose: Service\nranges: %s\n%s", family, ranges, spec))
}

const ten = "[{cidr: 10.0.0.0/8}]"

func ipClaim(spec string) string {
	return "apiVersion: meridian.dev/v1alpha1\nkind: IPClaim\nmetadata: {name: c, namespace: test}\nspec: " + spec
}

// testAddresses holds what one IPPool or one IPClaim shows to be wrong.
func testAddresses(t *testing.T, s *server) {
	for name, tc := range map[string]struct{ doc, want string }{
		"pool":                     {pool(ten, ""), ""},
		"pool, IPv6":               {pool(`[{cidr: "2001:db8::/32"}]`, "delegation: {regionLength: 40, zoneLength: 48}\nclaimLength: 64"), ""},
		"pool, delegated":          {pool(ten, "delegation: {regionLength: 12, zoneLength: 16}\nclaimLength: 24"), ""},
		"pool, to regions alone":   {pool(ten, "delegation: {regionLength: 12}"), ""},
		"pool, no ranges":          {pool("[]", ""), "should have at least 1 items"},
		"pool, most ranges":        {pool(many(32, "{cidr: 10.N.0.0/16}"), ""), ""},
		"pool, too many ranges":    {pool(many(33, "{cidr: 10.N.0.0/16}"), ""), "must have at most 32 items"},
		"pool, everything":         {pool("[{cidr: 0.0.0.0/0}]", ""), "all addresses there are (/0) cannot be a range"},
		"pool, everything of IPv6": {pool(`[{cidr: "::/0"}]`, ""), "all addresses there are (/0) cannot be a range"},
		"pool, IPv4-mapped":        {pool(`[{cidr: "::ffff:10.0.0.0/104"}]`, ""), "not an IPv4-mapped one"},
		"pool, an address":         {pool("[{cidr: 10.0.0.1}]", ""), "a CIDR is wanted"},
		"pool, no prefix":          {pool("[{cidr: ten}]", ""), "a CIDR is wanted"},
		"pool, host bits":          {pool("[{cidr: 10.1.2.3/8}]", ""), "bits are set beyond the prefix's length"},
		"pool, ranges overlap":     {pool("[{cidr: 10.0.0.0/8}, {cidr: 10.1.0.0/16}]", ""), "two of spec.ranges overlap"},
		"pool, a range twice":      {pool("[{cidr: 10.0.0.0/8}, {cidr: 10.0.0.0/8}]", ""), "two of spec.ranges overlap"},
		"pool, other family":       {inventory("IPPool", "p", `{family: IPv6, purpose: Pod, ranges: [{cidr: 10.0.0.0/8}]}`), "must be of spec.family"},
		"pool, no such family":     {inventory("IPPool", "p", `{family: IPX, purpose: Pod, ranges: [{cidr: 10.0.0.0/8}]}`), "spec.family: Unsupported value"},
		"pool, no such purpose":    {inventory("IPPool", "p", `{family: IPv4, purpose: Tea, ranges: [{cidr: 10.0.0.0/8}]}`), "spec.purpose: Unsupported value"},
		"pool, name":               {strings.Replace(pool(ten, ""), `"p"`, `"p.q"`, 1), "must be a DNS label"},
		"reserved":                 {pool(ten, "reserved: [10.0.0.0/24, 10.255.255.255/32]"), ""},
		"reserved, most":           {pool(many(32, "{cidr: 10.N.0.0/16}"), "reserved: "+many(128, "10.31.N.0/24")), ""},
		"reserved, outside":        {pool(ten, "reserved: [192.0.2.0/24]"), "each of spec.reserved must lie in one of spec.ranges"},
		"reserved, larger":         {pool("[{cidr: 10.1.0.0/16}]", "reserved: [10.0.0.0/8]"), "each of spec.reserved must lie in one of spec.ranges"},
		"reserved, host bits":      {pool(ten, "reserved: [10.0.0.1/24]"), "each of spec.reserved is a CIDR with no bits set"},
		"reserved, an address":     {pool(ten, "reserved: [10.0.0.1]"), "each of spec.reserved is a CIDR"},
		"region before range":      {pool(ten, "delegation: {regionLength: 7}"), "regionLength must be at least the length of each of spec.ranges"},
		"zone before region":       {pool(ten, "delegation: {regionLength: 16, zoneLength: 12}"), "zoneLength must be at least regionLength"},
		"zone without region":      {pool(ten, "delegation: {zoneLength: 12}"), "spec.delegation.regionLength: Required value"},
		"claim before range":       {pool(ten, "claimLength: 7"), "claimLength must be at least the length of each of spec.ranges"},
		"claim before region":      {pool(ten, "claimLength: 12\ndelegation: {regionLength: 16}"), "claimLength must be at least spec.delegation.regionLength"},
		"claim before zone":        {pool(ten, "claimLength: 17\ndelegation: {regionLength: 16, zoneLength: 18}"), "claimLength must be at least spec.delegation.zoneLength"},
		"claim of IPv4, 33":        {pool(ten, "claimLength: 33"), "a length of IPv4 is at most 32"},
		"region of IPv4, 33":       {pool(ten, "delegation: {regionLength: 33}"), "a length of IPv4 is at most 32"},
		"length 129":               {pool(`[{cidr: "2001:db8::/32"}]`, "claimLength: 129"), "less than or equal to 128"},
		"marks":                    {pool(ten, "lowWaterPercent: 0\nhighWaterPercent: 100"), ""},
		"marks in disorder":        {pool(ten, "lowWaterPercent: 60"), "lowWaterPercent must be less than spec.highWaterPercent"},
		"mark of 101":              {pool(ten, "highWaterPercent: 101"), "less than or equal to 100"},
		"quarantine":               {pool(ten, "quarantine: 1h30m"), ""},
		"quarantine, none":         {pool(ten, "quarantine: 0s"), ""},
		"quarantine, negative":     {pool(ten, "quarantine: -1s"), "from 0s to 720h"},
		"quarantine, too long":     {pool(ten, "quarantine: 721h"), "from 0s to 720h"},

		"claim":                        {ipClaim("{pool: p}"), ""},
		"claim by purpose":             {ipClaim("{purpose: LoadBalancer, network: west, family: IPv6, length: 64, zone: west-a}"), ""},
		"claim of an address":          {ipClaim("{pool: p, prefix: 10.1.2.3}"), ""},
		"claim of a prefix":            {ipClaim("{pool: p, prefix: 10.1.2.0/24}"), ""},
		"claim of IPv6":                {ipClaim(`{purpose: Pod, prefix: "2001:db8::/64"}`), ""},
		"claim of nothing":             {ipClaim("{}"), "give spec.pool or spec.purpose, one of the two"},
		"claim by both":                {ipClaim("{pool: p, purpose: Pod}"), "give spec.pool or spec.purpose, one of the two"},
		"claim, network of a pool":     {ipClaim("{pool: p, network: west}"), "spec.network goes with spec.purpose"},
		"claim, family of a pool":      {ipClaim("{pool: p, family: IPv4}"), "spec.family goes with spec.purpose"},
		"claim, two lengths":           {ipClaim("{pool: p, prefix: 10.0.0.0/24, length: 24}"), "spec.prefix has a length"},
		"claim, length 0":              {ipClaim("{pool: p, length: 0}"), "greater than or equal to 1"},
		"claim, length 33":             {ipClaim("{purpose: Pod, length: 33}"), "spec.length of IPv4 is at most 32"},
		"claim, everything":            {ipClaim("{pool: p, prefix: 0.0.0.0/0}"), "all addresses there are (/0) cannot be claimed"},
		"claim, host bits":             {ipClaim("{pool: p, prefix: 10.1.2.3/24}"), "bits are set beyond the prefix's length"},
		"claim, IPv4-mapped":           {ipClaim(`{pool: p, prefix: "::ffff:10.1.2.3"}`), "not an IPv4-mapped one"},
		"claim, IPv4-mapped prefix":    {ipClaim(`{pool: p, prefix: "::ffff:10.1.2.0/120"}`), "not an IPv4-mapped one"},
		"claim, no prefix":             {ipClaim("{pool: p, prefix: ten}"), "spec.prefix is an address or a CIDR"},
		"claim, address's family":      {ipClaim("{purpose: Pod, family: IPv6, prefix: 10.1.2.3}"), "spec.prefix must be of spec.family"},
		"claim, prefix's family":       {ipClaim(`{purpose: Pod, family: IPv4, prefix: "2001:db8::/64"}`), "spec.prefix must be of spec.family"},
		"application, address":         {application("a", "address: {}"), ""},
		"application, IPv6":            {application("a", "address: {family: IPv6}"), ""},
		"application, family of pool":  {application("a", "address: {pool: p, family: IPv6}"), "a pool has its own"},
		"cluster, addresses":           {cluster("c", "addresses: {podRange: {pool: p, length: 16}, eastWest: {}, ingress: {pool: lb}}"), ""},
		"cluster, pod range too short": {cluster("c", "addresses: {podRange: {length: 0}}"), "greater than or equal to 1"},
		"quota, addresses":             {inventory("TenantQuota", "q", "{tenant: retail, addresses: 0}"), ""},
		"quota, too many addresses":    {inventory("TenantQuota", "q", "{tenant: retail, addresses: 1000000000001}"), "spec.addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.create(t.Context(), object(t, tc.doc), true)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("got %v, want it accepted", err)
			case tc.want != "" && err == nil:
				t.Errorf("it was accepted, want an error with %q", tc.want)
			case tc.want != "" && !strings.Contains(err.Error(), tc.want):
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
