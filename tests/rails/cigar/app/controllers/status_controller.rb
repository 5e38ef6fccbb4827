# What the people who run the app ask for.
class StatusController < ApplicationController
  def up
    ActiveRecord::Base.connection.execute("SELECT 1")
    render plain: "up"
  end

  def version
    render json: {
      version: Rails.configuration.x.version,
      release: ENV["HMS_RELEASE"],
      commit: ENV["HMS_COMMIT"],
      rows: Product.count,
    }
  end

  # Takes as long as is asked for, up to ten seconds.
  def slow
    sleep(params[:milliseconds].to_i.clamp(0, 10_000) / 1000.0)
    render plain: "done"
  end

  # Tells whether a variable of the environment has reached the application.
  def env
    render plain: ENV.fetch(params[:name], "(not set)")
  end
end
