package images

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestWrittenArchiveReadsBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pause.tar")
	if err := WriteSingleBinary(file, "localhost/pause:1", "pause", []byte("program")); err != nil {
		t.Fatal(err)
	}
	found, err := readArchive(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].names[0] != "localhost/pause:1" || !strings.HasPrefix(found[0].config, "sha256:") {
		t.Errorf("got %+v", found)
	}
}

func TestArchiveOfSomethingElseIsRefused(t *testing.T) {
	if _, err := readArchive("archive_test.go"); err == nil || !strings.Contains(err.Error(), "not an image archive") {
		t.Errorf("got %v", err)
	}
}
