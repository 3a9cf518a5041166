"""The stages of the road, one a file. `kefu_gateway.domain.road` puts them in order."""
