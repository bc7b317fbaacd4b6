# SPDX-License-Identifier: Apache-2.0
#
# Reads palnet's files with the readers of geomorph, Morpho and SlicerMorphR, and writes files with
# their writers for palnet to read. By hand: docs/formats.md, "What was tested", says how.
#
# Rscript Testing/r/check_exchange.R DIR [SOURCES]
#
# SOURCES is a folder with geomorph.R, Morpho.R and SlicerMorphR.R, which define the functions named
# here, where the packages are not installed. A package that is neither is named and left out.

arguments <- commandArgs(trailingOnly = TRUE)
sources <- if (length(arguments) > 1) normalizePath(arguments[2], mustWork = TRUE) else ""
setwd(arguments[1])
options(rgl.useNULL = TRUE)
HALF_STEP <- 5.1e-7
n_checks <- n_faults <- 0

package <- function(name) {
  file <- file.path(sources, paste0(name, ".R"))
  if (sources != "" && file.exists(file)) {
    found <- new.env()
    sys.source(file, found)
    cat(name, "from", file, "\n")
    return(found)
  }
  found <- tryCatch(loadNamespace(name), error = function(e) NULL)
  if (is.null(found)) cat("NOT CHECKED:", name, "is not installed\n")
  else cat(name, as.character(packageVersion(name)), "\n")
  found
}

table_of <- function(name) {
  read.csv(paste0(name, ".csv"), na.strings = "", fileEncoding = "UTF-8",
           colClasses = c(specimen = "character", name = "character", code = "character")[
             intersect(c("specimen", "name", "code"), scan(paste0(name, ".csv"), "", nlines = 1,
                                                            sep = ",", quiet = TRUE))])
}

tell <- function(what, fault) {
  n_checks <<- n_checks + 1
  if (fault != "") n_faults <<- n_faults + 1
  cat(if (fault == "") "ok  " else "FAIL", what, fault, "\n")
}

# Same dimensions, same missing numbers, the others equal to the last digit, and the same names.
check <- function(what, read, want, names = NULL, names_of = rownames) {
  log <- capture.output(got <- tryCatch(suppressWarnings(suppressMessages(read())),
                                        error = function(e) e))
  fault <- if (inherits(got, "error")) conditionMessage(got)
  else if (!is.numeric(got)) "is not numeric"
  else if (!identical(as.integer(dim(got)), as.integer(dim(want)))) "has other dimensions"
  else if (any(is.na(got) != is.na(want))) "has other missing landmarks"
  else if (max(abs(got - want), na.rm = TRUE) > HALF_STEP) "has other coordinates"
  else if (!is.null(names) && !identical(as.character(names_of(got)), names)) "has other names"
  else ""
  tell(what, fault)
  invisible(got)
}

specimens_of <- function(array) dimnames(array)[[3]]

expected <- table_of("expected")
written <- table_of("names")
codes <- unique(expected$code)
array_of <- function(set) {
  rows <- expected[expected$set == set, ]
  aperm(array(t(as.matrix(rows[, c("x", "y", "z")])), c(3, length(codes), max(rows$number))),
        c(2, 1, 3))
}
names_in <- function(file) written$name[written$file == file]

geomorph <- package("geomorph")
Morpho <- package("Morpho")
SlicerMorphR <- package("SlicerMorphR")

for (set in c("whole", "one", "holes")) {
  want <- array_of(set)
  of_all <- function(ending) paste0(set, ending)
  if (!is.null(geomorph)) {
    for (ending in c(".tps", ".nts", ".dta", ".morphologika.txt")) {
      file <- of_all(ending)
      if (!file.exists(file)) next
      reader <- switch(ending,
        .tps = function() geomorph$readland.tps(file, specID = "ID"),
        .nts = , .dta = function() geomorph$readland.nts(file),
        function() geomorph$read.morphologika(file))
      check(paste("geomorph", file), reader, want, names_in(file), specimens_of)
    }
  }
  if (!is.null(Morpho)) {
    file <- of_all(".dta")
    check(paste("Morpho read.lmdta", file), function() Morpho$read.lmdta(file)$arr, want,
          names_in(file), specimens_of)
  }
  long <- table_of(set)
  check(paste("read.csv", of_all(".csv")), function() {
    aperm(array(t(as.matrix(long[, c("x", "y", "z")])), dim(want)[c(2, 1, 3)]), c(2, 1, 3))
  }, want)
  tell(paste("names of", of_all(".csv")),
       if (identical(unique(long$specimen), names_in(of_all(".csv")))) "" else "differ")
  wide <- table_of(paste0(set, ".wide"))
  check(paste("read.csv", of_all(".wide.csv")), function() {
    aperm(array(t(as.matrix(wide[, -1])), dim(want)[c(2, 1, 3)]), c(2, 1, 3))
  }, want)
  for (number in seq_len(dim(want)[3])) {
    points <- want[, , number]
    is_placed <- !is.na(points[, 1])
    of_one <- function(ending) paste0(set, "_", number, ending)
    # With an undefined point SlicerMorphR returns text, and older Morpho stops.
    if (all(is_placed)) {
      file <- of_one(".mrk.json")
      if (!is.null(Morpho))
        check(paste("Morpho", file), function() Morpho$read.slicerjson(file), points, codes)
      if (!is.null(SlicerMorphR))
        check(paste("SlicerMorphR", file), function() SlicerMorphR$read.markups.json(file), points,
              codes)
    }
    if (file.exists(of_one(".fcsv"))) {
      file <- of_one(".fcsv")
      pts <- of_one(".pts")
      if (!is.null(geomorph))
        check(paste("geomorph", file), function() geomorph$readland.fcsv(file), points)
      if (!is.null(SlicerMorphR))
        check(paste("SlicerMorphR", file), function() SlicerMorphR$read.markups.fcsv(file), points,
              codes)
      if (!is.null(Morpho)) {
        check(paste("Morpho", file), function() Morpho$read.fcsv(file), points, codes)
        check(paste("Morpho", pts), function() Morpho$read.pts(pts), points, codes)
      }
    }
    if (!is.null(Morpho)) {
      pp <- of_one(".pp")
      check(paste("Morpho", pp), function() Morpho$read.mpp(pp), points[is_placed, ],
            toupper(codes)[is_placed])
    }
  }
}

# The mean shape and the distances to it, after the rotation that geomorph leaves open.
if (!is.null(geomorph)) {
  sizes <- table_of("sizes")
  mean_shape <- as.matrix(table_of("mean")[, c("x", "y", "z")])
  gpa <- geomorph$gpagen(array_of("whole"), Proj = FALSE, print.progress = FALSE, tol = 1e-15)
  close <- function(a, b, atol) if (max(abs(a - b)) < atol) "" else paste("differ by", max(abs(a - b)))
  turn <- svd(crossprod(gpa$consensus, mean_shape))
  distance <- apply(gpa$coords, 3, function(shape) sqrt(sum((shape - gpa$consensus)^2)))
  tell("geomorph gpagen, centroid sizes", close(gpa$Csize, sizes$centroid_size, 1e-9))
  tell("geomorph gpagen, consensus",
       close(gpa$consensus %*% turn$u %*% t(turn$v), mean_shape, 1e-8))
  tell("geomorph gpagen, distances", close(distance, sizes$distance, 1e-8))
}

dir.create("from_r", showWarnings = FALSE)
for (set in c("whole", "holes")) {
  points <- array_of(set)
  dimnames(points) <- list(codes, c("X", "Y", "Z"), paste0("s", seq_len(dim(points)[3])))
  out <- function(number, name) file.path("from_r", paste0(set, number, "-", name))
  if (!is.null(geomorph)) invisible(geomorph$writeland.tps(points, out("", "geomorph-a.tps")))
  for (number in seq_len(dim(points)[3])) {
    one <- points[, , number]
    k <- paste0("_", number)
    if (!is.null(Morpho)) {
      Morpho$write.pts(one, out(k, "morpho-a"), rownames = codes)
      Morpho$write.fcsv(one, out(k, "morpho-ras.fcsv"))
      Morpho$write.fcsv(one, out(k, "morpho-lps.fcsv"), slicer4.11 = TRUE)
      Morpho$write.slicerjson(one, out(k, "morpho-a.mrk.json"), labels = codes)
    }
    if (!is.null(SlicerMorphR)) {
      SlicerMorphR$write.markups.fcsv(one, out(k, "slicermorphr-a.fcsv"))
      SlicerMorphR$write.markups.json(one, out(k, "slicermorphr-a.mrk.json"))
    }
  }
}

cat(R.version.string, ":", n_checks, "checks,", n_faults, "faults\n")
quit(status = n_faults > 0)
