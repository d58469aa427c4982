// All roots and proofs of trees up to N leaves by golang.org/x/mod/sumdb/tlog, as one SHA-256; each proof is checked by it too.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, index := range indexes {
		hashes = append(hashes, s[index])
	}
	return hashes, nil
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	largest := must(strconv.ParseInt(os.Args[1], 10, 64))
	all := sha256.New()
	var stored storage
	var leaves []tlog.Hash
	roots := []tlog.Hash{{}}
	for size := int64(1); size <= largest; size++ {
		data := []byte(fmt.Sprintf("entry %d", size-1))
		leaves = append(leaves, tlog.RecordHash(data))
		stored = append(stored, must(tlog.StoredHashes(size-1, data, stored))...)
		root := must(tlog.TreeHash(size, stored))
		roots = append(roots, root)
		all.Write(root[:])
		for index := int64(0); index < size; index++ {
			proof := must(tlog.ProveRecord(size, index, stored))
			if err := tlog.CheckRecord(proof, size, root, index, leaves[index]); err != nil {
				log.Fatal(err)
			}
			for _, hash := range proof {
				all.Write(hash[:])
			}
		}
		for old := int64(1); old <= size; old++ {
			proof := must(tlog.ProveTree(size, old, stored))
			if err := tlog.CheckTree(proof, size, root, old, roots[old]); err != nil {
				log.Fatal(err)
			}
			for _, hash := range proof {
				all.Write(hash[:])
			}
		}
	}
	fmt.Printf("%x\n", all.Sum(nil))
}
