// Tarjson prints what Go's archive/tar reads, as one line of JSON for each archive.
//
// Archives come on standard input, each after its length as four bytes, big-endian.  An empty
// input ends the program.  Names and records are in hexadecimal, because they need not be UTF-8;
// times are seconds and nanoseconds, or null where the reader left them unset.  The content of an
// entry is read as a container runtime would read it and given as its CRC-32, up to a bound, since
// a map may promise exabytes of zeros.
package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"io"
	"log"
	"os"
	"time"
)

const most = 1 << 22

type entry struct {
	Name     string            `json:"name"`
	Linkname string            `json:"linkname"`
	Typeflag byte              `json:"typeflag"`
	Size     int64             `json:"size"`
	Mode     int64             `json:"mode"`
	UID      int               `json:"uid"`
	GID      int               `json:"gid"`
	Uname    string            `json:"uname"`
	Gname    string            `json:"gname"`
	Devmajor int64             `json:"devmajor"`
	Devminor int64             `json:"devminor"`
	Mtime    *[2]int64         `json:"mtime"`
	Atime    *[2]int64         `json:"atime"`
	Ctime    *[2]int64         `json:"ctime"`
	Records  map[string]string `json:"records"`
	CRC      *uint32           `json:"crc"`
	Failed   bool              `json:"failed"`
}

type archive struct {
	Entries []entry `json:"entries"`
	Globals int     `json:"globals"`
	Error   string  `json:"error"`
}

func text(s string) string { return hex.EncodeToString([]byte(s)) }

func moment(t time.Time) *[2]int64 {
	if t.IsZero() {
		return nil
	}
	return &[2]int64{t.Unix(), int64(t.Nanosecond())}
}

func shown(header *tar.Header) entry {
	e := entry{
		Name: text(header.Name), Linkname: text(header.Linkname), Typeflag: header.Typeflag,
		Size: header.Size, Mode: header.Mode, UID: header.Uid, GID: header.Gid,
		Uname: text(header.Uname), Gname: text(header.Gname),
		Devmajor: header.Devmajor, Devminor: header.Devminor,
		Mtime: moment(header.ModTime), Atime: moment(header.AccessTime),
		Ctime: moment(header.ChangeTime),
	}
	if header.PAXRecords != nil {
		e.Records = make(map[string]string)
		for key, value := range header.PAXRecords {
			e.Records[text(key)] = text(value)
		}
	}
	return e
}

func read(data []byte) archive {
	result := archive{Entries: []entry{}}
	// Without Seek, so that nothing is skipped unread.
	reader := tar.NewReader(bufio.NewReaderSize(bytes.NewReader(data), 4096))
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return result
		}
		if err != nil {
			result.Error = err.Error()
			return result
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			result.Globals++
			continue
		}
		e := shown(header)
		sum := crc32.NewIEEE()
		_, err = io.CopyN(sum, reader, most)
		if err == io.EOF {
			value := sum.Sum32()
			e.CRC = &value
		} else if err != nil {
			e.Failed = true
			result.Error = err.Error()
		}
		result.Entries = append(result.Entries, e)
		if e.Failed {
			return result
		}
	}
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := bufio.NewWriter(os.Stdout)
	lines := json.NewEncoder(output)
	for {
		var length uint32
		if err := binary.Read(input, binary.BigEndian, &length); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		data := make([]byte, length)
		if _, err := io.ReadFull(input, data); err != nil {
			log.Fatal(err)
		}
		if err := lines.Encode(read(data)); err != nil {
			log.Fatal(err)
		}
		if err := output.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}
