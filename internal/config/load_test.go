package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Region  string            `usage:"name of the region"`
	Listen  string            `usage:"address for zones"`
	Parents []string          `usage:"addresses of the parent"`
	Labels  map[string]string `usage:"labels"`
	Every   time.Duration     `usage:"interval"`
	Workers int               `usage:"workers"`
	PodID   string            `usage:"id"`
	Standby bool              `usage:"stand by"`
	Etcd    Etcd
	Admin   Admin
	Log     Log
}

func (s *sample) Default() {
	setDefault(&s.Listen, Loopback(RegionPort))
	if s.Workers == 0 {
		s.Workers = 4
	}
	s.Etcd.Default()
	s.Admin.Default()
	s.Log.Default()
}

func (s *sample) Validate() error {
	return errors.Join(
		Required("region", s.Region),
		Address("listen", s.Listen),
		Prefix("etcd", s.Etcd.Validate()),
		Prefix("admin", s.Admin.Validate()),
		Prefix("log", s.Log.Validate()),
	)
}

func defaulted(change func(*sample)) sample {
	s := sample{Region: "west"}
	s.Default()
	change(&s)
	return s
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name string
		file string
		env  map[string]string
		args []string
		want sample
	}{
		{
			name: "defaults",
			args: []string{"--region=west"},
			want: defaulted(func(*sample) {}),
		},
		{
			name: "file",
			file: "region: west\nparents: [a:1, b:2]\nevery: 3s\npodID: x\nstandby: true\netcd:\n  dataDir: /var/etcd\nlabels: {a: b}\n",
			want: defaulted(func(s *sample) {
				s.Parents, s.Every, s.PodID, s.Standby = []string{"a:1", "b:2"}, 3*time.Second, "x", true
				s.Etcd.DataDir, s.Labels = "/var/etcd", map[string]string{"a": "b"}
			}),
		},
		{
			name: "environment over file",
			file: "region: east\nworkers: 9\n",
			env: map[string]string{
				"MERIDIAN_REGION": "west", "MERIDIAN_ETCD_ENDPOINTS": "https://a:1,https://b:2",
				"MERIDIAN_LABELS": "a=b,c=d", "MERIDIAN_POD_ID": "y",
			},
			want: defaulted(func(s *sample) {
				s.Workers, s.PodID = 9, "y"
				s.Etcd.Endpoints = []string{"https://a:1", "https://b:2"}
				s.Labels = map[string]string{"a": "b", "c": "d"}
			}),
		},
		{
			name: "flag over environment over file",
			file: "region: east\nlog: {level: debug, format: json}\n",
			env:  map[string]string{"MERIDIAN_REGION": "north", "MERIDIAN_LOG_LEVEL": "warn"},
			args: []string{"--region", "west", "--etcd-endpoints=https://a:1", "--every=2m", "--workers=7", "--labels=a=b"},
			want: defaulted(func(s *sample) {
				s.Log = Log{Level: "warn", Format: "json"}
				s.Etcd.Endpoints, s.Every, s.Workers = []string{"https://a:1"}, 2*time.Minute, 7
				s.Labels = map[string]string{"a": "b"}
			}),
		},
		{
			name: "a flag equal to the default still wins over the file",
			file: "region: west\nworkers: 9\n",
			args: []string{"--workers=4"},
			want: defaulted(func(*sample) {}),
		},
		{
			name: "empty section",
			file: "region: west\netcd:\n",
			want: defaulted(func(*sample) {}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			var got sample
			if err := load("test", &got, withFile(t, tt.file, tt.args), &bytes.Buffer{}); err != nil {
				t.Fatalf("Load: %v", err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Load:\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name string
		file string
		args []string
		want []string
	}{
		{name: "unknown key", file: "region: west\nregoin: east\n", want: []string{`unknown key "regoin"`}},
		{name: "unknown nested key", file: "region: west\netcd: {dir: x}\n", want: []string{`unknown key "etcd.dir"`}},
		{name: "section that is a value", file: "region: west\netcd: 5\n", want: []string{`unknown key "etcd"`}},
		{name: "unknown flag", args: []string{"--regoin=x"}, want: []string{"--regoin"}},
		{name: "argument", args: []string{"--region=west", "serve"}, want: []string{`"serve"`}},
		{name: "not a number", file: "region: west\nworkers: many\n", want: []string{"workers", "many"}},
		{name: "broken file", file: "region: [west\n", want: []string{"config.yaml"}},
		{
			name: "all errors at once",
			args: []string{"--listen=here", "--log-level=loud", "--etcd-prefix=x/"},
			want: []string{"region: is required", `listen: "here" is not HOST:PORT`, `log.level: "loud"`, `etcd.prefix: "x/"`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got sample
			err := load("test", &got, withFile(t, tt.file, tt.args), &bytes.Buffer{})
			var ce *Error
			if !errors.As(err, &ce) {
				t.Fatalf("Load: got %v, want an *Error", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Load: got %q, want it to name %q", err, want)
				}
			}
		})
	}
}

func TestLoadMissingFile(t *testing.T) {
	t.Setenv("MERIDIAN_CONFIG", filepath.Join(t.TempDir(), "absent.yaml"))
	err := load("test", &sample{}, []string{"--region=west"}, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("Load: got %v, want it to name the file", err)
	}
}

func TestHelpShowsDefaults(t *testing.T) {
	var out bytes.Buffer
	if err := load("test", &sample{}, []string{"--help"}, &out); !errors.Is(err, ErrDone) {
		t.Fatalf("Load --help: got %v, want ErrDone", err)
	}
	for _, want := range []string{"--etcd-data-dir", `"127.0.0.1:7410"`, "--pod-id", "name of the region", "--config"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help does not have %q:\n%s", want, out.String())
		}
	}
}

func TestFieldNames(t *testing.T) {
	fields, err := fieldsOf(&sample{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]string{}
	for _, f := range fields {
		got[f.name()] = [2]string{f.flag(), f.env()}
	}
	for name, want := range map[string][2]string{
		"podId":        {"pod-id", "MERIDIAN_POD_ID"},
		"etcd.dataDir": {"etcd-data-dir", "MERIDIAN_ETCD_DATA_DIR"},
		"region":       {"region", "MERIDIAN_REGION"},

		"admin.clientCaFile": {"admin-client-ca-file", "MERIDIAN_ADMIN_CLIENT_CA_FILE"},
	} {
		if got[name] != want {
			t.Errorf("names of %s: got %v, want %v", name, got[name], want)
		}
	}
}

func withFile(t *testing.T, content string, args []string) []string {
	t.Helper()
	if content == "" {
		return args
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{"--config", path}, args...)
}

func TestEtcdAt(t *testing.T) {
	external := []string{"http://etcd:2379"}
	for name, tt := range map[string]struct {
		etcd Etcd
		want string
	}{
		"in this process": {Etcd{}, "/meridian"},
		"shared":          {Etcd{Endpoints: external}, "/meridian/zone/west-a"},
		"given":           {Etcd{Endpoints: external, Prefix: "/mine"}, "/mine"},
	} {
		if got := tt.etcd.At("zone/west-a"); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
