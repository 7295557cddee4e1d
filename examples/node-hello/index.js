'use strict'

const express = require('express')

const port = Number(process.env.PORT || 8080)
const who = process.env.WHO || 'World'

const app = express()

app.get('/', (request, response) => {
  response.type('text/plain').send(`Hello ${who}. Wish you were here.\n`)
})

app.listen(port, '0.0.0.0', () => console.log(`listening on port ${port}`))
