package main

import "os"

// peakOf answers 0, which stands for unknown: Windows keeps no such figure for a process that has ended.
func peakOf(*os.ProcessState) int64 { return 0 }

func peakFloor() int64 { return 0 }
